"""Confidence intervals. Items of one author or document are alike, so every method takes their cluster names.

Proportions get Wilson's interval (Wilson 1927), with clusters at the effective sample size of Korn & Graubard (1998,
Survey Methodology 24:193); means and functions of several means a percentile bootstrap over the independent units, at
the levels that Hesterberg (2015, The American Statistician 69:371) derives for few units.

numpy and scipy are imported where they are used; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.stats.distributions import normal_cdf, normal_quantile, t_quantile

if TYPE_CHECKING:
    import numpy as np

_CACHED_WEIGHTS = 8_000_000  # resampling weights kept between metrics of one task: 64 MB


class Interval(NamedTuple):
    """A confidence interval; `units` is the number of independent units (clusters, or items) that it rests on."""

    low: float
    high: float
    method: str
    units: int


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion.

    >>> tuple(round(x, 2) for x in wilson(97, 110)[:2])
    (0.81, 0.93)
    """
    return Interval(*_wilson(successes / n, n, normal_quantile(0.5 + confidence / 2)), "wilson", int(n))


def cluster_wilson(values: Sequence[float], clusters: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a clustered proportion.

    n_eff = n / deff, deff = cluster-robust variance of the mean / (p (1 - p) / n), at least 1; a t quantile in
    place of the normal one. Its degrees of freedom are Satterthwaite's for the variance over C clusters, whose residual
    sums have the kurtosis k: 2 C / (k - 1) - 1, between 3 and C - 1 (k = 3, the normal case). Near 0 and 1 a few
    clusters carry all the variance, and C - 1 would cover 85 % instead of 95 %. Where all answers are equal the
    clusters cannot show how alike their items are, and deff is that of an intraclass correlation of `_ASSUMED_ICC`.

    Args:
        values: 0 or 1 per item.
        clusters: Cluster name per item; at least two distinct.
        confidence: Level of the interval.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    sums, sizes = _by_cluster(x[:, None], clusters)
    n, count, p = len(x), len(sizes), float(x.mean())
    effect, freedom = _design_effect(sums[:, 0], sizes, p)
    return Interval(*_wilson(p, n / effect, t_quantile(0.5 + confidence / 2, freedom)), "cluster_wilson", count)


def bootstrap(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[str] | None = None,
    *,
    combine: Callable[[np.ndarray], np.ndarray] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval of a mean, or of a function of several means.

    Args:
        values: Shape (n,) or (n, k); NaN where an item lacks a component.
        clusters: Cluster name per item; None: items are the units.
        combine: (…, k) means to (…) values; None: the mean itself (k = 1).
        confidence: Level of the interval.
        resamples: Bootstrap samples.
        seed: Of the draws.

    Returns:
        The interval, or None with fewer than two units.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    combine = combine or (lambda means: means[..., 0])
    sums, counts = unit_sums(x, clusters)
    units = len(sums)
    if units < 2:
        return None
    name = "bootstrap" if clusters is None else "cluster_bootstrap"
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = combine(resample(sums, counts, resamples, seed))
    replicates = np.sort(replicates[np.isfinite(replicates)])
    if not len(replicates):
        return None
    low, high = np.quantile(replicates, percentile_levels(units, confidence))
    return Interval(float(low), float(high), name, units)


def proportion_interval(
    values: Sequence[float], clusters: Sequence[str] | None = None, *, confidence: float = 0.95
) -> Interval | None:
    """Interval of a proportion over clusters, where they are given, else over items; None for fewer than two units."""
    if clusters is not None:
        return cluster_wilson(values, clusters, confidence=confidence) if len(set(clusters)) > 1 else None
    return wilson(math.fsum(values), len(values), confidence=confidence) if len(values) > 1 else None


def effective_size(values: Sequence[float], clusters: Sequence[str] | None = None) -> float:
    """How many independent answers a clustered proportion is worth: n / deff, as in `cluster_wilson`.

    >>> effective_size([1.0, 1.0, 0.0, 0.0]), round(effective_size([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]), 2)
    (4.0, 1.0)
    """
    if clusters is None or len(set(clusters)) < 2:
        return float(len(values))
    import numpy as np

    x = np.asarray(values, dtype=float)
    sums, sizes = _by_cluster(x[:, None], clusters)
    return len(x) / _design_effect(sums[:, 0], sizes, float(x.mean()))[0]


def standard_error(values: Sequence[float] | np.ndarray, clusters: Sequence[str] | None = None) -> tuple[float, int]:
    """Cluster-robust standard error of a mean, and the number of independent units; NaN for one unit."""
    import numpy as np

    x = np.asarray(values, dtype=float)
    sums, sizes = _by_cluster((x - x.mean())[:, None], clusters)
    units = len(sizes)
    if units < 2:
        return math.nan, units
    return math.sqrt(units / (units - 1) * float((sums[:, 0] ** 2).sum())) / len(x), units


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # exact ends: rounding must not exclude an observed 0 or 1
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


_ASSUMED_ICC = 0.1
_LEAST_FREEDOM = 3.0  # one odd item among hundreds must not blow the interval up


def _design_effect(sums: np.ndarray, sizes: np.ndarray, p: float) -> tuple[float, float]:
    """Design effect of a clustered proportion, and the degrees of freedom of its estimate."""
    n, count = float(sizes.sum()), len(sizes)
    if p in (0.0, 1.0):
        return 1 + (float((sizes**2).sum()) / n - 1) * _ASSUMED_ICC, count - 1
    squares = (sums - p * sizes) ** 2
    if not squares.any():
        return 1.0, count - 1
    robust = count / (count - 1) * float(squares.sum()) / n**2
    kurtosis = count * float((squares**2).sum()) / float(squares.sum()) ** 2
    freedom = min(count, 2 * count / max(kurtosis - 1, 1e-9)) - 1
    return max(1.0, robust / (p * (1 - p) / n)), max(min(_LEAST_FREEDOM, count - 1), freedom)


def _by_cluster(x: np.ndarray, clusters: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums (C, k) and sizes (C,) of the clusters."""
    import numpy as np

    if clusters is None:
        return x, np.ones(len(x))
    index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    sums = np.zeros((index.max() + 1, x.shape[1]))
    np.add.at(sums, index, x)
    return sums, np.bincount(index).astype(float)


def unit_sums(x: np.ndarray, clusters: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of the present values, both (units, k)."""
    import numpy as np

    present = ~np.isnan(x)
    return _by_cluster(np.where(present, x, 0.0), clusters)[0], _by_cluster(present.astype(float), clusters)[0]


def resample(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means (resamples, k) of units drawn with replacement."""
    import numpy as np

    both = np.hstack([sums, counts])
    step = max(1, min(resamples, _CACHED_WEIGHTS // len(sums)))
    drawn = [_weights(len(sums), min(step, resamples - i), seed, i) @ both for i in range(0, resamples, step)]
    totals = np.vstack(drawn)
    k = sums.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[:, :k] / totals[:, k:]


@lru_cache(maxsize=1)
def _weights(units: int, resamples: int, seed: int, start: int) -> np.ndarray:
    """How often each unit is drawn, (resamples, units): the same draws for every metric of a task."""
    import numpy as np

    drawn = np.random.default_rng([seed, start]).integers(units, size=(resamples, units))
    drawn += np.arange(resamples)[:, None] * units
    return np.bincount(drawn.ravel(), minlength=resamples * units).reshape(resamples, units).astype(float)


def percentile_levels(units: int, confidence: float) -> list[float]:
    """Percentile levels that make the interval as wide as a t interval; the bootstrap alone is narrower."""
    tail = normal_cdf(math.sqrt(units / (units - 1)) * t_quantile(0.5 - confidence / 2, units - 1))
    return [tail, 1 - tail]
