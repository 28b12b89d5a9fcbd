"""`run --diagnose`: the inside of the model, in the same result."""

import pytest

from unlearn_bench import cli, results

MODELS = ("--model", "nano-retain", "--reference", "nano-full", "--retain-model", "nano-retain")


def test_diagnostics_are_logged_into_the_same_result(tmp_path):
    arguments = ["--tasks", "nano_kfr,nano_krr", "--limit", "4", "--diagnose", "logit_lens,depth", "--quiet"]
    assert cli.main(["run", *MODELS, *arguments, "--output", str(tmp_path)]) == 0
    result = results.read_result(tmp_path)
    inside = result.diagnostics
    assert (inside.rows, inside.reference, inside.retain_model) == (4, "nano-full", "nano-retain")
    assert inside.tables["depth"]["uds"].value == 1.0  # the retain model itself: as if never learned
    assert sorted(inside.tables) == ["depth", "logit_lens"]
    assert sorted(result.tasks) == ["nano_kfr", "nano_krr"]


def test_without_a_retain_model_depth_is_not_available_and_says_so(tmp_path):
    arguments = ["--tasks", "nano_kfr", "--limit", "2", "--diagnose", "depth", "--quiet", "--output", str(tmp_path)]
    assert cli.main(["run", "--model", "nano-full", *arguments]) == 0
    assert "depth" in results.read_result(tmp_path).diagnostics.unavailable


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--diagnose", "depht", "--tasks", "nano_kfr"), "depth"),
        (("--diagnose", "depth", "--tasks", "nano_krr"), "no task of the run asks forget questions"),
    ],
)
def test_what_cannot_be_diagnosed_is_said(tmp_path, capsys, arguments, words):
    assert cli.main(["run", "--model", "nano-full", "--limit", "2", *arguments, "--output", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()
