"""Shipped counts of a judge's verdicts against labels: of the judge that is shipped, and numbers only."""

import json
from pathlib import Path

import pytest

from unlearn_bench.evidence import judge_error as module
from unlearn_bench.evidence.agreement import RulesAgreement
from unlearn_bench.evidence.judge_error import LabelCounts, judge_error
from unlearn_bench.stats.correction import Confusion, rogan_gladen

FILE = Path(module.__file__).with_name("data") / "judge_error.json"
COUNTS = LabelCounts("rules", "all", (8.0, 2.0), (3.0, 4.0), (1.0, 9.0), 20, "f", "l")


def test_the_counts_are_of_the_shipped_judge() -> None:
    """Fails where the rules or their weights changed and the fit was not run again."""
    assert judge_error("rules").fingerprint == RulesAgreement().fingerprint


def test_counts_as_hits_and_misses() -> None:
    assert COUNTS.confusion() == Confusion(8, 2, 1, 9)
    assert COUNTS.confusion(partly="known") == Confusion(11, 6, 1, 9)
    assert COUNTS.confusion(partly="forgotten") == Confusion(8, 2, 4, 13)
    assert COUNTS.confusion(positive="forgotten") == Confusion(9, 1, 2, 8)
    assert COUNTS.labels == 27


@pytest.mark.parametrize("group", ["all", "unlearned", "tofu", "knowundo", "muse+rwku", "golden"])
def test_each_group_can_correct_a_share(group: str) -> None:
    counts = judge_error("rules", group)
    assert rogan_gladen(0.5, 100, counts.confusion(positive="forgotten")) is not None
    assert 0 < counts.questions <= counts.labels


def test_the_benchmarks_make_up_all() -> None:
    parts = [judge_error("rules", group) for group in ("tofu", "knowundo", "muse+rwku")]
    for label in ("yes", "partly", "no"):
        total = [sum(getattr(part, label)[i] for part in parts) for i in (0, 1)]
        assert total == pytest.approx(getattr(judge_error("rules"), label))


def test_a_way_that_no_label_measured_has_no_counts() -> None:
    assert judge_error("given") is None
    assert judge_error("rules", "mars") is None


def test_the_file_holds_numbers_hashes_and_the_names_of_groups_only() -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for inner in value.values() for text in texts(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in texts(inner)]
        return [value] if isinstance(value, str) else []

    found = texts(json.loads(FILE.read_text()))
    assert found
    assert all(len(text) == 64 and set(text) <= set("0123456789abcdef") for text in found)
