"""Mean over rows with a 95 % interval, over clusters where every row names one."""

from collections.abc import Sequence

from unlearn_bench.schema import MetricValue
from unlearn_bench.stats import intervals

RESAMPLES = 2000


def mean_with_interval(
    values: Sequence[float], clusters: Sequence[str | None], *, proportion: bool = False
) -> MetricValue:
    """Mean and its interval: Wilson's where every value is 0 or 1 and counts something, else the bootstrap.

    Args:
        values: One number per row.
        clusters: What rows have in common; rows are the units if any has none.
        proportion: Whether the values are shares; a share that is 0 or 1 everywhere has a Wilson interval, not a point.
    """
    if not values:
        return MetricValue(value=None, n=0)
    units = None if None in clusters else [str(c) for c in clusters]
    if proportion and set(values) <= {0.0, 1.0}:
        interval = intervals.proportion_interval(values, units)
    else:
        interval = intervals.bootstrap(values, units, resamples=RESAMPLES)
    return MetricValue(
        value=sum(values) / len(values),
        ci95=(interval.low, interval.high) if interval else None,
        ci_method=interval.method if interval else None,
        n=len(values),
    )
