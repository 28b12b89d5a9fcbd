"""What a gate takes on trust, and says so: results without samples, models that were not whole."""

import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import plain, write_board, write_run
from unlearn_bench.cli import main


def _partial(path: Path) -> None:
    document = plain(path)
    document["model"]["partial"] = "missing: model.layers.3.mlp.up_proj.weight"
    path.write_text(json.dumps(document))


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    return {name: write_run(tmp_path / name, name) for name in ("old", "new")}


@pytest.mark.parametrize(("name", "option"), [("new", "--samples"), ("old", "--baseline-samples")])
@pytest.mark.parametrize("hash_named", [True, False])
def test_without_samples_nothing_passes_unasked(
    runs: dict, name: str, option: str, hash_named: bool, capsys: pytest.CaptureFixture
) -> None:
    runs[name].with_name("samples.jsonl").unlink()
    if not hash_named:  # leaving the hash out as well hides no edit
        document = plain(runs[name])
        document["samples_sha256"] = None
        runs[name].write_text(json.dumps(document))
    asked = ["check", str(runs["new"]), "--baseline", str(runs["old"])]
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert f"the samples of {name} are not there" in told
    assert option in told
    assert main([*asked, "--allow-no-samples"]) == 0
    assert f"no samples of {name}" in capsys.readouterr().out


def test_samples_that_are_named_after_all_count(runs: dict, tmp_path: Path) -> None:
    moved = runs["new"].with_name("samples.jsonl").rename(tmp_path / "elsewhere.jsonl")
    assert main(["check", str(runs["new"]), "--baseline", str(runs["old"]), "--samples", str(moved)]) == 0


@pytest.mark.parametrize("name", ["new", "old"])
def test_a_model_that_was_not_whole_is_no_pass(runs: dict, name: str, capsys: pytest.CaptureFixture) -> None:
    _partial(runs[name])
    asked = ["check", str(runs["new"]), "--baseline", str(runs["old"])]
    assert main(asked) == 2
    assert f"the model of {name} was not whole when it ran: missing: model.layers.3" in capsys.readouterr().err
    assert main([*asked, "--allow-partial"]) == 0
    assert f"the model of {name} was not whole" in capsys.readouterr().out


def test_a_model_that_was_not_whole_is_on_no_board(runs: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    board = write_board(tmp_path / "b.json")
    before = board.read_bytes()
    _partial(runs["new"])
    assert main(["submit", str(runs["new"]), "--leaderboard", str(board), "--name", "new"]) == 2
    assert "[partial] the model was not whole when it ran" in capsys.readouterr().err
    assert board.read_bytes() == before


def test_compare_says_what_it_takes_on_trust(runs: dict, capsys: pytest.CaptureFixture) -> None:
    _partial(runs["new"])
    runs["old"].with_name("samples.jsonl").unlink()
    assert main(["compare", str(runs["old"]), str(runs["new"])]) == 0
    told = capsys.readouterr().out
    assert "no samples of old: its numbers are taken as they are" in told
    assert "the model of new was not whole: missing: model.layers.3" in told
