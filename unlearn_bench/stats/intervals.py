"""Intervals and paired tests. Items of one author or document are alike, so every method takes their cluster names.

Intervals: proportions get Wilson's interval (Wilson 1927), with clusters at the effective sample size of Korn &
Graubard (1998, Survey Methodology 24:193); means and functions of set means a percentile bootstrap over the independent
units, at the levels that Hesterberg (2015, The American Statistician 69:371) derives for few units, or BCa (Efron
1987). Tests between two models on the same questions: McNemar's exact test, a paired bootstrap, a cluster-robust t test
(Miller, arXiv 2411.00640), Holm's correction (1979), and the smallest difference that a comparison could have seen.

numpy and scipy are imported where they are used; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_CACHED_WEIGHTS = 8_000_000  # resampling weights kept between metrics of one task: 64 MB


class Interval(NamedTuple):
    """A confidence interval; `units` is the number of independent units (clusters, or items) that it rests on."""

    low: float
    high: float
    method: str
    units: int


class Test(NamedTuple):
    """A paired comparison: mean difference, two-sided p-value, interval of the difference (None where undefined)."""

    difference: float
    p_value: float
    interval: Interval | None
    method: str


Test.__test__ = False  # pytest: not a test class


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion.

    >>> tuple(round(x, 2) for x in wilson(97, 110)[:2])
    (0.81, 0.93)
    """
    from scipy.stats import norm

    return Interval(*_wilson(successes / n, n, float(norm.ppf(0.5 + confidence / 2))), "wilson", int(n))


def cluster_wilson(values: Sequence[float], clusters: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a clustered proportion.

    n_eff = n / deff, deff = cluster-robust variance of the mean / (p (1 - p) / n), at least 1; a t quantile in
    place of the normal one. Its degrees of freedom are Satterthwaite's for the variance over C clusters, whose residual
    sums have the kurtosis k: 2 C / (k - 1) - 1, between 3 and C - 1 (k = 3, the normal case). Near 0 and 1 a few
    clusters carry all the variance, and C - 1 would cover 85 % instead of 95 %. Where all answers are equal the
    clusters cannot tell how alike their items are, and deff is that of an intraclass correlation of `_ASSUMED_ICC`.

    Args:
        values: 0 or 1 per item.
        clusters: Cluster name per item; at least two distinct.
        confidence: Level of the interval.
    """
    import numpy as np
    from scipy.stats import t

    x = np.asarray(values, dtype=float)
    sums, sizes = _by_cluster(x[:, None], clusters)
    n, count, p = len(x), len(sizes), float(x.mean())
    effect, freedom = _design_effect(sums[:, 0], sizes, p)
    return Interval(*_wilson(p, n / effect, float(t.ppf(0.5 + confidence / 2, freedom))), "cluster_wilson", count)


def bootstrap(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[str] | None = None,
    *,
    combine: Callable[[np.ndarray], np.ndarray] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    method: str = "percentile",
) -> Interval | None:
    """Bootstrap interval of a mean, or of a function of several means.

    Args:
        values: Shape (n,) or (n, k); NaN where an item lacks a component.
        clusters: Cluster name per item; None: items are the units.
        combine: (…, k) means to (…) values; None: the mean itself (k = 1).
        confidence: Level of the interval.
        resamples: Bootstrap samples.
        seed: Of the draws.
        method: "percentile" (at Hesterberg's levels) or "bca".

    Returns:
        The interval, or None with fewer than two units.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    combine = combine or (lambda means: means[..., 0])
    sums, counts = _unit_sums(x, clusters)
    units = len(sums)
    if units < 2:
        return None
    name = "bootstrap" if clusters is None else "cluster_bootstrap"
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = combine(_resample(sums, counts, resamples, seed))
    replicates = np.sort(replicates[np.isfinite(replicates)])
    if not len(replicates):
        return None
    levels = (
        _hesterberg(units, confidence)
        if method == "percentile"
        else _bca(sums, counts, combine, replicates, confidence)
    )
    low, high = np.quantile(replicates, levels)
    return Interval(float(low), float(high), name, units)


def proportion_interval(
    values: Sequence[float], clusters: Sequence[str] | None = None, *, confidence: float = 0.95
) -> Interval | None:
    """Interval of a proportion over clusters, where they are given, else over items; None for fewer than two units."""
    if clusters is not None:
        return cluster_wilson(values, clusters, confidence=confidence) if len(set(clusters)) > 1 else None
    return wilson(math.fsum(values), len(values), confidence=confidence) if len(values) > 1 else None


def mcnemar(first: Sequence[float], second: Sequence[float]) -> Test:
    """Exact McNemar test: of the items on which two models differ, is each model right equally often?

    For unclustered 0/1 outcomes; the difference is mean(second) - mean(first).

    >>> mcnemar([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]).p_value  # 2 * 0.5 ** 6
    0.03125
    """
    from scipy.stats import binomtest

    pairs = list(zip(first, second, strict=True))
    lost, won = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return Test((won - lost) / len(pairs), p, None, "mcnemar_exact")


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
) -> Test:
    """Cluster-robust t test of mean(second - first) on the same items.

    SE^2 = C / (C - 1) * sum over clusters c of (sum over i in c of (d_i - mean d))^2 / n^2, with C - 1 degrees of
    freedom; items are clusters of one where none are given (then it is the paired t test).
    """
    import numpy as np
    from scipy.stats import t

    d = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    name = "paired_t" if clusters is None else "cluster_paired_t"
    mean, se, units = float(d.mean()), *standard_error(d, clusters)
    if units < 2:
        return Test(mean, 1.0, None, name)
    half = float(t.ppf(0.5 + confidence / 2, units - 1)) * se
    p = float(2 * t.sf(abs(mean) / se, units - 1)) if se > 0 else float(mean == 0)
    return Test(mean, p, Interval(mean - half, mean + half, name, units), name)


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
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

    sums, counts = _unit_sums(np.hstack([a, b]), clusters)
    replicates = difference(_resample(sums, counts, resamples, seed))
    observed = float(difference(sums.sum(axis=0) / counts.sum(axis=0)))
    tail = min(np.mean(replicates <= 0), np.mean(replicates >= 0))
    interval = bootstrap(
        np.hstack([a, b]), clusters, combine=difference, confidence=confidence, resamples=resamples, seed=seed
    )
    return Test(observed, float(min(1.0, max(2 * tail, 1 / resamples))), interval, "paired_bootstrap")


def standard_error(values: Sequence[float] | np.ndarray, clusters: Sequence[str] | None = None) -> tuple[float, int]:
    """Cluster-robust standard error of a mean, and the number of independent units; NaN for one unit."""
    import numpy as np

    x = np.asarray(values, dtype=float)
    sums, sizes = _by_cluster((x - x.mean())[:, None], clusters)
    units = len(sizes)
    if units < 2:
        return math.nan, units
    return math.sqrt(units / (units - 1) * float((sums[:, 0] ** 2).sum())) / len(x), units


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]  # 3 * 0.01, 2 * 0.03, then no smaller than that
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def minimum_detectable_difference(
    standard_error: float, *, confidence: float = 0.95, power: float = 0.8, units: int | None = None
) -> float:
    """Smallest true difference that a two-sided test finds with the given power.

    Args:
        standard_error: Of the (paired) difference.
        confidence: One minus the level of the test.
        power: Chance to find it.
        units: Independent units, for t quantiles with few of them; None: normal quantiles.

    >>> round(minimum_detectable_difference(0.5 / 200**0.5), 2)  # sd 0.5, n = 200
    0.1
    """
    from scipy.stats import norm, t

    quantile = norm.ppf if units is None else lambda q: t.ppf(q, units - 1)
    return float((quantile(0.5 + confidence / 2) + quantile(power)) * standard_error)


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


def _unit_sums(x: np.ndarray, clusters: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of the present values, both (units, k)."""
    import numpy as np

    present = ~np.isnan(x)
    return _by_cluster(np.where(present, x, 0.0), clusters)[0], _by_cluster(present.astype(float), clusters)[0]


def _resample(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
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


def _hesterberg(units: int, confidence: float) -> list[float]:
    """Percentile levels that make the interval as wide as a t interval; the bootstrap alone is narrower."""
    from scipy.stats import norm, t

    tail = float(norm.cdf(math.sqrt(units / (units - 1)) * t.ppf(0.5 - confidence / 2, units - 1)))
    return [tail, 1 - tail]


def _bca(
    sums: np.ndarray,
    counts: np.ndarray,
    combine: Callable[[np.ndarray], np.ndarray],
    replicates: np.ndarray,
    confidence: float,
) -> list[float]:
    """Levels of the bias-corrected and accelerated interval; acceleration from the jackknife over units."""
    import numpy as np
    from scipy.stats import norm

    observed = combine(sums.sum(axis=0) / counts.sum(axis=0))
    below = np.mean(replicates < observed) + np.mean(replicates == observed) / 2
    bias = norm.ppf(np.clip(below, 1 / len(replicates), 1 - 1 / len(replicates)))
    with np.errstate(invalid="ignore", divide="ignore"):
        jackknife = combine((sums.sum(axis=0) - sums) / (counts.sum(axis=0) - counts))
    spread = jackknife.mean() - jackknife
    cube, square = float((spread**3).sum()), float((spread**2).sum())
    acceleration = cube / (6 * square**1.5) if square > 0 else 0.0
    z = bias + norm.ppf([0.5 - confidence / 2, 0.5 + confidence / 2])
    return [float(q) for q in norm.cdf(bias + z / (1 - acceleration * z))]
