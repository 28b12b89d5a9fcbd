"""What the scorers declare about a metric; no model is needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from unlearn_bench.results.plausible import Problem
from unlearn_bench.schema import Result, Role

_SLACK = 1e-6  # a sum of floats may end beyond a bound
Direction = Callable[[Role | None], bool | None]


def _no_direction(role: Role | None) -> bool | None:
    return None


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is made of its samples.

    Attributes:
        kind: "proportion", "mean" or "corpus", as in `scorers.base.Metric`; "summary" for a number of the whole run,
            which no single answer has.
        bounds: Smallest and largest value.
        components: Per-sample scores whose means `combine` takes, for a corpus metric.
        direction: Role of the questions to whether higher is better, as the scorer declares it.
    """

    kind: str
    bounds: tuple[float, float]
    components: tuple[str, ...] = ()
    combine: Callable[[np.ndarray], np.ndarray] | None = None
    direction: Direction = _no_direction


@cache
def known() -> dict[str, MetricInfo]:
    """Every metric of every installed scorer and summary, and the descriptive ones."""
    from unlearn_bench.evidence.pipeline import DESCRIPTIVE
    from unlearn_bench.scorers import SCORERS
    from unlearn_bench.summaries.aggregate import metrics

    found = {m.name: MetricInfo(m.kind, m.bounds, direction=m.direction) for m in DESCRIPTIVE}
    found |= {name: MetricInfo("summary", m.bounds, direction=m.direction) for name, (_, m) in metrics().items()}
    for name in SCORERS.names():
        scorer = SCORERS.get(name)
        for metric in scorer.metrics:
            combine = None
            if scorer.combine is not None and metric.components:
                combine = _bound(scorer.combine, metric.name)
            found.setdefault(
                metric.name, MetricInfo(metric.kind, metric.bounds, metric.components, combine, metric.direction)
            )
    return found


def _bound(combine: Callable, name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda means: combine(name, means)


def info(metric: str, unknown: tuple[float, float] = (0.0, 1.0)) -> MetricInfo:
    """What is known of a metric; a mean within `unknown` for one that no installed scorer makes."""
    return known().get(metric, MetricInfo("mean", unknown))


def range_problems(result: Result) -> Iterator[Problem]:
    """Values that their metric cannot have: a share of 7, a negative rate. Metrics that nobody knows have no bounds."""
    for name, task in result.tasks.items():
        for metric, found in task.metrics.items():
            low, high = known()[metric].bounds if metric in known() else (-np.inf, np.inf)
            if found.value is not None and not low - _SLACK <= found.value <= high + _SLACK:
                yield Problem("range", f"task {name}: {metric} is {found.value:g}, outside {low:g} to {high:g}")
