"""What is known of a metric beyond its number: from the scorers' own declarations, which need no model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from unlearn_bench.schema import Sample


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is made of its samples.

    Attributes:
        kind: "proportion", "mean" or "corpus", as in `scorers._base.Metric`.
        bounds: Smallest and largest value.
        components: Per-sample scores whose means `combine` takes, for a corpus metric.
    """

    kind: str
    bounds: tuple[float, float]
    components: tuple[str, ...] = ()
    combine: Callable[[np.ndarray], np.ndarray] | None = None


# What the pipeline describes beside the scores; these are fields of a sample, not scores of it.
_DESCRIPTIVE = {
    "empty": MetricInfo("proportion", (0.0, 1.0)),
    "degenerate": MetricInfo("proportion", (0.0, 1.0)),
    "nli_contradiction": MetricInfo("proportion", (0.0, 1.0)),
    "kfr_thinking": MetricInfo("proportion", (0.0, 1.0)),
    "coverage": MetricInfo("mean", (0.0, float("inf"))),
}


def sample_value(sample: Sample, metric: str) -> float | None:
    """A sample's value of a metric, None where it has none."""
    if metric not in _DESCRIPTIVE or metric in sample.scores:
        return sample.scores.get(metric)
    if metric == "kfr_thinking":
        return None
    if metric == "coverage":
        return sample.coverage
    if metric == "nli_contradiction":
        return None if sample.nli_label is None else float(sample.nli_label == "contradiction")
    return float(sample.empty if metric == "empty" else sample.degenerate is not None)


@cache
def known() -> dict[str, MetricInfo]:
    """Every metric of every installed scorer."""
    from unlearn_bench.scorers import SCORERS

    found = dict(_DESCRIPTIVE)
    for name in SCORERS.names():
        scorer = SCORERS.get(name)
        for metric in scorer.metrics:
            combine = None
            if scorer.combine is not None and metric.components:
                combine = _bound(scorer.combine, metric.name)
            found.setdefault(metric.name, MetricInfo(metric.kind, metric.bounds, metric.components, combine))
    return found


def _bound(combine: Callable, name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda means: combine(name, means)


def info(metric: str) -> MetricInfo:
    """What is known of a metric; a mean in [0, 1] for one that no installed scorer makes."""
    return known().get(metric, MetricInfo("mean", (0.0, 1.0)))
