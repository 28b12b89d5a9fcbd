"""LUME's components and aggregates: by hand, and what a collapsed model and one that forgot nothing get."""

from statistics import harmonic_mean

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.summaries.aggregate import summarise
from unlearn_bench.summaries.lume import COMPONENTS


def rows(forget: float, retain: float, loss: tuple[float, float] | None = None, n: int = 12) -> list[Sample]:
    """Answers whose share of right ones is given; of documents the losses of members and of others."""
    found = []
    for name, (role, kind, metric) in COMPONENTS.items():
        for i in range(n):
            share = forget if role == "forget" else retain
            value = float(i < round(share * n)) if metric == "literal_match" else share
            found.append(_sample(f"{name}-{i}", role, kind, {metric: value}, f"{kind[:5]}-{i}"))
    for role, level in zip(("forget", "holdout"), loss or (), strict=False):
        found += [_sample(f"{role}-doc-{i}", role, None, {"loss": level + (i % 5) / 10}, None) for i in range(n)]
    return found


def _sample(name: str, role: str, kind: str | None, scores: dict[str, float], cluster: str | None) -> Sample:
    return Sample(
        id=name,
        task=role,
        role=role,
        question=name,
        reference="a",
        response="b",
        kind=kind,
        cluster=cluster,
        scores=scores,
    )


ORACLE = rows(0.25, 0.75)


def test_by_hand():
    found = summarise(rows(0.25, 0.5, loss=(2.0, 2.0)), None, {"lume_mmlu": 0.5})
    assert found["lume_forget_task1_qa"].value == 0.25
    assert found["lume_retain_task3_completion"].value == 0.5
    expected = harmonic_mean([0.75] * 6 + [0.5] * 6)
    assert found["lume_aggregate"].value == pytest.approx(expected)
    low, high = found["lume_aggregate"].ci95
    assert low < expected < high
    assert found["lume_final"].value == pytest.approx((expected + 1.0 + 0.5) / 3)


def test_the_oracle_itself_is_one_and_everything_else_less():
    assert summarise(ORACLE, ORACLE, {})["lume_anchored"].value == pytest.approx(1.0)
    for forget, retain in ((0.0, 0.75), (0.5, 0.75), (0.25, 0.5)):
        assert summarise(rows(forget, retain), ORACLE, {})["lume_anchored"].value < 0.99


def test_a_collapsed_model_wins_the_final_score_and_not_the_anchored_one():
    collapsed, careful = rows(0.0, 0.0, loss=(9.0, 9.0)), rows(0.5, 0.75, loss=(1.0, 3.0))
    final = [summarise(x, ORACLE, {"lume_mmlu": 0.25})["lume_final"].value for x in (collapsed, careful)]
    anchored = [summarise(x, ORACLE, {})["lume_anchored"].value for x in (collapsed, careful)]
    assert final[0] > 0.4 > final[1]
    assert anchored[0] == 0.0 < 0.5 < anchored[1]


def test_a_model_that_forgot_nothing_has_little():
    oracle = rows(0.0, 1.0)
    assert summarise(rows(1.0, 1.0), oracle, {})["lume_anchored"].value == 0.0


def test_what_is_missing_is_said():
    found = summarise(rows(0.25, 0.5), None, {})
    assert found["lume_anchored"].unscored_reasons.keys() == {"no_oracle"}
    assert found["lume_final"].unscored_reasons.keys() == {"no_membership_documents"}
    with_documents = summarise(rows(0.25, 0.5, loss=(2.0, 2.0)), None, {})
    assert with_documents["lume_final"].unscored_reasons.keys() == {"no_lume_mmlu"}
    partial = [s for s in rows(0.25, 0.5) if s.kind != "Task2 qa"]
    assert summarise(partial, None, {})["lume_aggregate"].unscored_reasons.keys() == {"no_lume_forget_task2_qa"}
    assert "lume_aggregate" not in summarise([_sample("1", "forget", None, {"kfr": 1.0}, None)], None, {})
    with pytest.raises(UserError, match="option lume_mmlu: 45 is no accuracy"):
        summarise(rows(0.25, 0.5, loss=(2.0, 2.0)), None, {"lume_mmlu": 45})
