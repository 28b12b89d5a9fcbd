"""How far two raters agree on the same answers, beyond chance: weighted kappa and Krippendorff's alpha, with intervals.

    kappa = 1 - sum w_ij o_ij / sum w_ij r_i c_j      w_ij = |i - j| or (i - j)^2 over ranks of ordered categories
    alpha = 1 - D_o / D_e                             D: mean squared difference, observed in pairs, and over all values

o: shares of the pairs; r, c: shares of each rater's values. Cohen (1968), Psychological Bulletin 70:213; Krippendorff
(2011), "Computing Krippendorff's alpha-reliability", interval data, two raters, no value missing. 1 is agreement, 0
what chance gives, below 0 less than chance. Neither is defined where all values are one.

numpy is imported where it is used; no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.stats.intervals import Interval, bootstrap

if TYPE_CHECKING:
    import numpy as np


_ROUNDING = 1e-12  # a variance below this share of the mean square is that of equal numbers


class Agreement(NamedTuple):
    """A coefficient, at most 1, and its bootstrap interval (None for fewer than two units)."""

    value: float
    interval: Interval | None


def weighted_kappa(
    a: Sequence[int],
    b: Sequence[int],
    categories: int,
    *,
    weights: str = "linear",
    clusters: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Agreement | None:
    """Cohen's weighted kappa of two raters.

    Args:
        a: Rank of the category that one rater gave each item, from 0.
        b: The same of the other.
        categories: How many there are.
        weights: "linear" or "quadratic".
        clusters: Cluster name of each item; None: items are the units of the bootstrap.
        confidence: Level of the interval.
        resamples: Bootstrap draws; 0 for no interval.
        seed: Of the draws.

    Returns:
        None where it is undefined: no item, or both raters gave every item the same category.

    >>> found = weighted_kappa([0, 1, 2, 2], [0, 1, 1, 2], 3, resamples=0)  # o: 1/4 off by 1; expected: 14/16
    >>> round(found.value, 4)
    0.7143
    """
    import numpy as np

    ranks = np.arange(categories)
    apart = np.abs(ranks[:, None] - ranks[None, :]).astype(float) ** {"linear": 1, "quadratic": 2}[weights]

    def combine(cells: np.ndarray) -> np.ndarray:
        shares = cells.reshape(*cells.shape[:-1], categories, categories)
        expected = np.einsum("...i,...j,ij->...", shares.sum(-1), shares.sum(-2), apart)
        return 1 - (shares * apart).sum((-1, -2)) / expected

    cells = np.eye(categories * categories)[np.asarray(a, dtype=int) * categories + np.asarray(b, dtype=int)]
    return _estimated(cells, combine, clusters, confidence, resamples, seed)


def krippendorff_alpha(
    a: Sequence[float],
    b: Sequence[float],
    *,
    clusters: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Agreement | None:
    """Krippendorff's alpha of two raters' numbers, on an interval scale.

    Args:
        a: The number that one rater gave each item.
        b: That of the other, on the same scale.
        clusters: Cluster name of each item; None: items are the units of the bootstrap.
        confidence: Level of the interval.
        resamples: Bootstrap draws; 0 for no interval.
        seed: Of the draws.

    Returns:
        None where it is undefined: no item, or all numbers are equal.

    >>> found = krippendorff_alpha([1, 2, 3, 3, 2], [1, 2, 3, 3, 4], resamples=0)  # D_o 4/5, D_e 84/45
    >>> round(found.value, 4)
    0.5714
    """
    import numpy as np

    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    count = 2 * len(x)

    def combine(means: np.ndarray) -> np.ndarray:
        apart, total, squares = np.moveaxis(means, -1, 0)
        # over all pairs of the N = 2n values the mean squared difference is 2 N / (N - 1) times their variance
        variance = squares / 2 - (total / 2) ** 2
        return 1 - apart * (count - 1) / (2 * count * np.where(variance > _ROUNDING * squares, variance, np.nan))

    moments = np.stack([(x - y) ** 2, x + y, x**2 + y**2], axis=-1)
    return _estimated(moments, combine, clusters, confidence, resamples, seed)


def _estimated(
    values: np.ndarray,
    combine: Callable[[np.ndarray], np.ndarray],
    clusters: Sequence[str] | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> Agreement | None:
    import numpy as np

    if not len(values):
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(combine(values.mean(axis=0)))
    if not np.isfinite(value):
        return None
    if not resamples:
        return Agreement(value, None)
    return Agreement(
        value,
        bootstrap(values, clusters, combine=combine, confidence=confidence, resamples=resamples, seed=seed),
    )
