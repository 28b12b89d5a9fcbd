"""`run --diagnose`: the inside of the model, in the same result."""

import pytest

from unlearn_bench import cli, results

pytestmark = pytest.mark.slow

MODELS = ("--model", "nano-retain", "--original", "nano-full", "--oracle", "nano-retain")


def test_diagnostics_are_logged_into_the_same_result(tmp_path):
    arguments = ["--tasks", "nano_kfr,nano_krr", "--limit", "4", "--diagnose", "logit_lens,depth", "--quiet"]
    assert cli.main(["run", *MODELS, *arguments, "--output", str(tmp_path)]) == 0
    result = results.read_result(tmp_path)
    inside = result.diagnostics
    assert (inside.rows, inside.original, inside.oracle) == (4, "nano-full", "nano-retain")
    assert inside.tables["depth"]["uds"].value == 1.0  # the retain model itself: as if never learned
    assert sorted(inside.tables) == ["depth", "logit_lens"]
    kept = {path.name for path in (tmp_path / "diagnostics").iterdir()}
    pictures = {f"{name}.{kind}" for name in ("logit_lens", "depth") for kind in ("svg", "png")}
    assert kept == {"diagnostics.json", "diagnostics.npz", *pictures}
    assert sorted(result.tasks) == ["nano_kfr", "nano_krr"]


def test_without_a_retain_model_depth_is_not_available_and_says_so(tmp_path):
    arguments = ["--tasks", "nano_kfr", "--limit", "2", "--diagnose", "depth", "--quiet", "--output", str(tmp_path)]
    assert cli.main(["run", "--model", "nano-full", *arguments]) == 0
    assert "depth" in results.read_result(tmp_path).diagnostics.unavailable


def test_headlines_and_what_is_missing_are_shown(tmp_path, capsys):
    arguments = ["--tasks", "nano_kfr", "--limit", "2", "--diagnose", "logit_lens,depth", "--no-plots"]
    assert cli.main(["run", "--model", "nano-full", *arguments, "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "entity_formation_layer" in out
    assert "first_jump_layer" not in out  # in the files, not on the screen
    assert "depth: not available, needs the checkpoint before unlearning (--original)" in out


def test_a_doubtful_depth_is_a_note_of_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("unlearn_bench.diagnostics.depth.warning", lambda *args: "depth: beware")
    arguments = ["--tasks", "nano_kfr", "--limit", "2", "--diagnose", "depth", "--quiet", "--output", str(tmp_path)]
    assert cli.main(["run", *MODELS, *arguments]) == 0
    assert "depth: beware" in results.read_result(tmp_path).notes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--diagnose", "depht", "--tasks", "nano_kfr"), "depth"),
        (("--diagnose", "depth", "--tasks", "nano_kfr", "--original", "nowhere"), "model nowhere: no such folder"),
        (("--diagnose", "depth", "--tasks", "nano_krr"), "no task of the run asks forget questions"),
    ],
)
def test_what_cannot_be_diagnosed_is_said(tmp_path, capsys, arguments, words):
    assert cli.main(["run", "--model", "nano-full", "--limit", "2", *arguments, "--output", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()
