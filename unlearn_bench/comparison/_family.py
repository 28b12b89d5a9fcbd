"""The judged metrics of two results, compared and tested together: each gets its share of alpha and an adjusted p."""

from collections.abc import Mapping

from unlearn_bench.comparison._verdict import Question
from unlearn_bench.comparison._versus import Pairs, became_unscored, flips, versus, worst_value
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.schema import MetricValue
from unlearn_bench.stats.multiplicity import LABEL_WEIGHT, Member, adjust
from unlearn_bench.stats.paired import Comparison, resolved


def questions(
    baseline: LoadedResult,
    candidate: LoadedResult,
    judged: Mapping[str, bool],
    pairs: Mapping[str, Pairs],
    alpha: float,
) -> list[Question]:
    """What a gate has to judge.

    Args:
        baseline: The result before.
        candidate: The result after.
        judged: "task/metric" to whether higher is better.
        pairs: Task to the questions that both were asked.
        alpha: Chance of a false alarm over all metrics together, one-sided.
    """
    old, new = baseline.metrics(), candidate.metrics()
    compared = {key: _compare(key, old[key], new[key], pairs, better=better) for key, better in judged.items()}
    tested = {key: c for key, c in compared.items() if c is not None and c.p_worse is not None}
    weights = {key: LABEL_WEIGHT if c.labels else 1.0 for key, c in tested.items()}
    alphas = {key: alpha * weight / sum(weights.values()) for key, weight in weights.items()}
    tested = {key: resolved(c, alphas[key]) for key, c in tested.items()}
    adjusted = adjust({key: Member(c.p_worse, weights[key], c.swaps) for key, c in tested.items()})
    return [
        Question(
            key=key,
            old=old[key],
            new=new[key],
            better=better,
            compared=tested.get(key, compared[key]),
            alpha=alphas.get(key, alpha),
            p=adjusted.get(key),
            flips=flips(pairs.get(_task(key), ()), _metric(key), higher_is_better=better),
        )
        for key, better in judged.items()
    ]


def _compare(
    key: str, old: MetricValue, new: MetricValue, pairs: Mapping[str, Pairs], *, better: bool
) -> Comparison | None:
    """The comparison; None where a value is missing, or what became unscored has no worst value."""
    if old.value is None or new.value is None:
        return None
    fill = None
    if became_unscored(old, new):
        fill = worst_value(_metric(key), better=better)
        if fill is None:
            return None
    return versus(old, new, _metric(key), pairs.get(_task(key)), better=better, fill=fill)


def _task(key: str) -> str:
    return key.partition("/")[0]


def _metric(key: str) -> str:
    return key.partition("/")[2]
