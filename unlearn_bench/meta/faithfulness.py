"""Faithfulness: does a metric tell models that know from models that do not?

    AUC = P(k > n) + P(k = n) / 2       k: a model that knows, n: one that does not, by the amount of knowledge shown

Maini et al., OpenUnlearning (arXiv 2506.12618), section 4; 1: always, 0.5: by chance, below: the wrong way round. The
interval is a bootstrap over models, each side drawn apart, at the levels that Hesterberg derives for few units
(`stats.intervals`). Where the two sides do not overlap at all every draw says 1 (or 0): the interval is then Wilson's
with as many units as the smaller side has.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.stats.intervals import percentile_levels, wilson

if TYPE_CHECKING:
    import numpy as np

LEAST = 3  # models on a side
RESAMPLES = 4000


class Separation(NamedTuple):
    """An AUC in [0, 1], its 95 % interval, and how many models are behind it."""

    auc: float
    ci95: tuple[float, float]
    n_positive: int
    n_negative: int


def wins(positive: Sequence[float], negative: Sequence[float]) -> "np.ndarray":
    """Of each pair, (positives, negatives): 1 where the first shows more, 0.5 where both show the same, else 0.

    >>> wins([1.0, 3.0], [1.0, 2.0]).tolist()
    [[0.5, 0.0], [1.0, 1.0]]
    """
    import numpy as np

    one, other = np.asarray(positive, dtype=float)[:, None], np.asarray(negative, dtype=float)[None, :]
    return (one > other) + 0.5 * (one == other)


def separation(
    positive: Sequence[float],
    negative: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Separation | None:
    """How well the values tell the two sides apart; None with fewer than `LEAST` models on a side.

    Args:
        positive: Knowledge that each model shows that knows.
        negative: The same of those that do not.
        resamples: Bootstrap draws of models.
        confidence: Level of the interval.
        seed: Of the draws: the same models are drawn for every metric.

    >>> separation([0.9, 0.8, 0.7], [0.1, 0.2, 0.75]).auc
    0.8888888888888888
    """
    import numpy as np

    sizes = len(positive), len(negative)
    if min(sizes) < LEAST:
        return None
    pairs = wins(positive, negative)
    value = float(pairs.mean())
    if value in (0.0, 1.0):
        low, high = wilson(value * min(sizes), min(sizes), confidence=confidence)[:2]
        return Separation(value, (low, high), *sizes)
    rows, columns = (_draws(size, resamples, [seed, side]) for side, size in enumerate(sizes))
    drawn = ((rows @ pairs) * columns).sum(axis=1) / (sizes[0] * sizes[1])
    low, high = np.quantile(drawn, percentile_levels(min(sizes), confidence))
    return Separation(value, (float(low), float(high)), *sizes)


def _draws(size: int, resamples: int, seed: list[int]) -> "np.ndarray":
    """How often each model is drawn, (resamples, size)."""
    import numpy as np

    return np.random.default_rng(seed).multinomial(size, [1 / size] * size, size=resamples).astype(float)


def ranks(found: Sequence[Separation]) -> list[int]:
    """The place of each: one more than the number of those whose interval lies wholly above its own.

    Equal places are ties: nothing says which of them is better.

    >>> ranks([Separation(a, ends, 9, 9) for a, ends in ((0.9, (0.8, 1.0)), (0.85, (0.7, 0.95)), (0.5, (0.3, 0.7)))])
    [1, 1, 2]
    """
    return [1 + sum(other.ci95[0] > one.ci95[1] for other in found) for one in found]


def threshold(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The amount of knowledge above which a model counts as one that knows: best sensitivity plus specificity.

    Between two values in the middle; of several as good the lowest.

    >>> threshold([0.8, 0.9], [0.1, 0.2])
    0.5
    """
    import numpy as np

    values = np.unique(np.array([*positive, *negative], dtype=float))
    cuts = np.concatenate([values[:1] - 1, (values[1:] + values[:-1]) / 2, values[-1:] + 1])
    one, other = np.asarray(positive, dtype=float), np.asarray(negative, dtype=float)
    scores = (one[None] > cuts[:, None]).mean(axis=1) + (other[None] <= cuts[:, None]).mean(axis=1)
    return float(cuts[int(np.argmax(scores))])
