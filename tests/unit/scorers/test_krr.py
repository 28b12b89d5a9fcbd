"""KRR verdicts at the threshold, and with evidence missing."""

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.scorers.krr import SCORER, krr


def test_the_threshold_itself() -> None:
    assert (krr(0.3, False), krr(0.3, False, rule="released"), krr(0.31, False)) == (False, True, True)


def test_a_contradiction_is_not_retained() -> None:
    assert not krr(1.0, True)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UserError):
        krr(0.5, False, rule="table")


def test_missing_inference_matters_only_where_coverage_is_enough() -> None:
    sample = Sample(id="1", task="t", split="retain", question="q", reference="r", response="a", coverage=0.1)
    assert SCORER.score(sample, {}) == {"krr": 0.0}
    assert SCORER.score(sample.model_copy(update={"coverage": 0.9}), {}) == {"krr": Unscored("no_inference")}
