"""Paired differences of two models on the same items: cluster-robust t test (Miller, arXiv 2411.00640), bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.stats.distributions import t_quantile, t_tail
from unlearn_bench.stats.intervals import Interval, bootstrap, resample, standard_error, unit_sums

if TYPE_CHECKING:
    import numpy as np


class Test(NamedTuple):
    """A paired comparison: mean difference, two-sided p-value, interval of the difference (None where undefined)."""

    difference: float
    p_value: float
    interval: Interval | None
    method: str


Test.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test class


def paired_difference(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
) -> Test:
    """Cluster-robust t test of mean(second - first) on the same items.

    SE^2 = C / (C - 1) * sum over clusters c of (sum over i in c of (d_i - mean d))^2 / n^2, with C - 1 degrees of
    freedom; items are clusters of one where none are given (then it is the paired t test).
    """
    import numpy as np

    d = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    name = "paired_t" if clusters is None else "cluster_paired_t"
    mean, se, units = float(d.mean()), *standard_error(d, clusters)
    if units < 2:
        return Test(mean, 1.0, None, name)
    half = t_quantile(0.5 + confidence / 2, units - 1) * se
    p = 2 * t_tail(abs(mean) / se, units - 1) if se > 0 else float(mean == 0)
    return Test(mean, p, Interval(mean - half, mean + half, name, units), name)


def paired_bootstrap(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    clusters: Sequence[str] | None = None,
    *,
    combine: Callable[[np.ndarray], np.ndarray] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Test:
    """Paired bootstrap of a difference of means (or of `combine` of means) on the same items.

    Args:
        first: Shape (n,) or (n, k).
        second: The other model, the same items in the same order.
        clusters: Cluster name per item; None: items are the units.
        combine: (…, k) means to (…) values; None: the mean itself (k = 1).
        confidence: Level of the interval.
        resamples: Bootstrap samples.
        seed: Of the draws.

    Returns:
        The difference second - first; p = 2 min(share <= 0, share >= 0) of the resampled differences, at least 1 /
        resamples.
    """
    import numpy as np

    a, b = (np.asarray(x, dtype=float).reshape(len(x), -1) for x in (first, second))
    single = combine or (lambda means: means[..., 0])
    k = a.shape[1]

    def difference(means: np.ndarray) -> np.ndarray:
        return single(means[..., k:]) - single(means[..., :k])

    sums, counts = unit_sums(np.hstack([a, b]), clusters)
    replicates = difference(resample(sums, counts, resamples, seed))
    observed = float(difference(sums.sum(axis=0) / counts.sum(axis=0)))
    tail = min(np.mean(replicates <= 0), np.mean(replicates >= 0))
    interval = bootstrap(
        np.hstack([a, b]), clusters, combine=difference, confidence=confidence, resamples=resamples, seed=seed
    )
    return Test(observed, float(min(1.0, max(2 * tail, 1 / resamples))), interval, "paired_bootstrap")
