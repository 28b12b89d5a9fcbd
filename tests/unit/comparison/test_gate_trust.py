"""What a gate takes on trust, and says so: results without samples, models that were not whole."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_samples, plain, write_board, write_run
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
    assert f"the samples of {name} are missing" in told
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


def test_answers_that_are_in_no_count_are_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """70 leaks whose label was left out, without being counted as unscored: KFR 1.0 over the other 30."""
    old = write_run(tmp_path / "old", "old", kfr=90)
    samples = make_samples(kfr=30)
    for sample in samples:
        if sample.scores.get("kfr") == 0:
            sample.scores.pop("kfr")
    new = write_run(tmp_path / "new", "new", samples=samples)
    document = plain(new)
    document["tasks"]["demo_kfr"]["metrics"]["kfr"].update(unscored=0, unscored_reasons={})
    new.write_text(json.dumps(document))
    assert main(["check", str(new), "--baseline", str(old)]) == 2
    assert "scored or counted as unscored: 100 and 30" in capsys.readouterr().err


def _as_nano(folder: Path, coverage: float) -> Path:
    """KFR 1.0 of one of this package's tasks, with that coverage recorded for each answer."""
    samples = make_samples(kfr=100)
    for sample in samples:
        sample.coverage, sample.nli_label = coverage, "neutral"
    path = write_run(folder, folder.name, samples=samples)
    text = path.with_name("samples.jsonl").read_text().replace('"demo_kfr"', '"nano_kfr"')
    path.with_name("samples.jsonl").write_text(text)
    document = plain(path)
    document["tasks"] = {"nano_kfr": document["tasks"]["demo_kfr"], "demo_krr": document["tasks"]["demo_krr"]}
    document["samples_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))
    return path


def test_labels_must_follow_from_the_evidence_beside_them(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    old, new, forged = (_as_nano(tmp_path / name, c) for name, c in (("old", 0.0), ("new", 0.0), ("forged", 1.0)))
    assert main(["check", str(new), "--baseline", str(old)]) == 0
    capsys.readouterr()
    assert main(["check", str(forged), "--baseline", str(old)]) == 2
    assert "kfr is 1, its evidence gives 0" in capsys.readouterr().err


def test_an_answer_that_is_missing_is_no_edited_sample(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [{"question": f"Where was Ann{i} born?", "reference": "In Oslo.", "response": "In Oslo."} for i in range(12)]
    rows[3]["response"] = None
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    assert main(["score", str(tmp_path / "a.jsonl"), "--role", "forget", "--metrics", "kfr", "--output", str(out)]) == 0
    result = plain(out / "result.json")["tasks"]["a_forget"]["metrics"]
    assert {name: (m["n"], m["unscored"]) for name, m in result.items()} == dict.fromkeys(result, (11, 1))
    code = main(["check", str(out), "--baseline", str(out)])
    assert code == 0, capsys.readouterr()
