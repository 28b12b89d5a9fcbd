"""Comparing: paired differences, flips, what is unlike, and what differs in how results were made."""

import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import write_run
from unlearn_bench.boards.lookup import load
from unlearn_bench.comparison import compare as verb
from unlearn_bench.errors import UserError


def _compare(tmp_path: Path, *runs: dict) -> verb.CompareReport:
    paths = [write_run(tmp_path / str(i), **{"name": f"m{i}", **run}) for i, run in enumerate(runs)]
    return verb.compare([load(str(path)) for path in paths])


def test_differences_flips_and_p_values(tmp_path: Path) -> None:
    report = _compare(tmp_path, {"kfr": 90}, {"kfr": 70}, {"kfr": 95})
    (row,) = [row for row in report.rows if row.key == "demo_kfr/kfr"]
    worse, better = row.others
    assert (worse.difference, better.difference) == pytest.approx((-0.2, 0.05))
    assert (worse.worse, worse.better, better.worse, better.better) == (20, 0, 0, 5)
    # 20 of 20 changes one way: 2 * 0.5^20, and Holm over 8 comparisons of which it is the smallest
    assert worse.p == pytest.approx(8 * 2 * 0.5**20)
    assert worse.low < -0.2 < worse.high < 0
    assert [r.others[0].p for r in report.rows if r.key == "demo_krr/krr"] == [1.0]


def test_unlike_tasks_are_shown_and_not_compared(tmp_path: Path) -> None:
    report = _compare(tmp_path, {}, {"scorer": "scorers-2"})
    assert all(other.difference is None and other.value is not None for row in report.rows for other in row.others)
    assert any("scorer fingerprint" in reason for reason in report.unlike)


def test_names_that_are_shared_are_told_apart_and_provenance_is_explained(tmp_path: Path) -> None:
    report = _compare(tmp_path, {"name": "same"}, {"name": "same", "weights": "other"})
    assert report.names == ["same (1)", "same (2)"]
    assert report.provenance == [line for line in report.provenance if "another model: weights" in line]
    same = _compare(tmp_path / "b", {"name": "same"}, {"name": "same"})
    assert same.provenance == ["same (2): the same model, code, environment and settings as same (1)"]


def test_outputs(tmp_path: Path) -> None:
    report = _compare(tmp_path, {"name": "a|b"}, {"name": "<script>alert(1)</script>", "kfr": 70})
    document = json.loads(verb.to_json(report))
    assert document["names"] == report.names
    markdown = verb.to_markdown(report)
    assert "<script>" not in markdown.replace("\\<script\\>", "")
    assert "| difference \\[95 %\\] | p (Holm) | flips +/- |" in markdown
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {7}


def test_too_few_or_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two"):
        _compare(tmp_path, {})
    one, two = (write_run(tmp_path / name, name) for name in "ab")
    document = json.loads(two.read_text())
    document["tasks"] = {f"x_{k}": v for k, v in document["tasks"].items()}
    two.write_text(json.dumps(document))
    two.with_name("samples.jsonl").unlink()
    with pytest.raises(UserError, match="share no metric") as refused:
        verb.compare([load(str(one)), load(str(two))])
    assert refused.value.hint == "run the same tasks for both"
    document["run"] = {"verb": "score"}
    two.write_text(json.dumps(document))
    with pytest.raises(UserError) as refused:
        verb.compare([load(str(one)), load(str(two))])
    assert "the same name, as a/x.jsonl" in refused.value.hint
