"""KFR verdicts at the thresholds, and with evidence missing."""

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.scorers.kfr import SCORER, kfr


@pytest.mark.parametrize(
    ("coverage", "n", "table", "paper", "released"),
    [
        (0.0, 2, True, True, True),
        (0.3, 10, False, False, True),  # on the threshold
        (0.5, 2, False, False, True),
        (0.4, 3, True, False, True),  # short lists have the threshold 0.5
        (0.4, 4, False, False, False),
        (1.0, 1, False, False, False),
    ],
)
def test_rules_at_their_thresholds(coverage: float, n: int, table: bool, paper: bool, released: bool) -> None:
    for rule, expected in (("table", table), ("paper", paper), ("released", released)):
        assert kfr(coverage, False, n, rule=rule) is expected
        assert kfr(coverage, True, n, rule=rule) is True  # a contradiction is forgotten under every rule


def test_an_unknown_rule_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="released"):
        kfr(0.5, False, 2, rule="relesed")


def _score(**evidence: object) -> float | Unscored:
    sample = Sample(id="1", task="t", split="forget", question="q", reference="r", response="a", **evidence)
    return SCORER.score(sample, {})["kfr"]


def test_missing_inference_matters_only_where_coverage_has_not_decided() -> None:
    entities = ["a", "b", "c", "d"]
    assert _score(coverage=0.1, entities_reference=entities) == 1.0
    reason = {"nli_contradiction": "nan_logits"}
    assert _score(coverage=0.9, entities_reference=entities, unscored=reason) == Unscored("nan_logits")
    assert _score(coverage=0.9, entities_reference=entities, nli_label="neutral") == 0.0


def test_missing_coverage_is_unscored_with_its_reason() -> None:
    assert _score(unscored={"coverage": "reference_has_no_entities"}) == Unscored("reference_has_no_entities")


def test_coverage_without_entities_uses_the_threshold_of_long_lists() -> None:
    assert _score(coverage=0.4, nli_label="neutral") == 0.0
