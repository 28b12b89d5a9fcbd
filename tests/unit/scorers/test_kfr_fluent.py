"""Forgetting is credited to answers only."""

import pytest

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.kfr_fluent import SCORER, kfr_fluent
from unlearn_bench.text.degenerate import degenerate


@pytest.mark.parametrize(("forgotten", "broken", "fluency", "expected"), [
    (True, False, 0.9, True), (False, False, 0.9, False), (True, True, 0.9, False), (True, False, 0.5, False),
])  # fmt: skip
def test_all_three_are_needed(forgotten: bool, broken: bool, fluency: float, expected: bool) -> None:
    assert kfr_fluent(forgotten, broken, fluency) is expected


@pytest.mark.parametrize(
    ("response", "credit"),
    [("at at at at", 0.0), ("", 0.0), ("Ann Lee was born in a small town.", 1.0), ("I don't know.", 1.0)],
)
def test_a_collapsed_answer_gets_kfr_but_no_credit(response: str, credit: float) -> None:
    sample = Sample(
        id="1", task="t", split="forget", question="Where was Ann Lee born?", reference="Ann Lee was born in Oslo.",
        response=response, degenerate=degenerate(response), coverage=0.0, entities_reference=["Oslo"],
    )  # fmt: skip
    assert SCORER.score(sample, {}) == {"kfr_fluent": credit}
