"""What a comparison could have seen, and how many questions it would take."""

import math

import numpy as np

from unlearn_bench.stats.distributions import normal_quantile, t_quantile
from unlearn_bench.stats.paired import Comparison

MAX_NEEDED = 1_000_000


def detectable(comparison: Comparison, alpha: float, power: float, margin: float) -> float | None:
    """The smallest true drop that is called a regression with probability `power`; None if none can be.

    A regression needs an estimated drop beyond the margin and p <= alpha. For exact tests over questions the power is
    computed exactly (over the independent questions, where those of a cluster count as less than one); for the others
    the threshold is the larger of the margin and q_alpha * SE, and the true drop lies q_power * SE beyond.
    """
    if comparison.least_p > alpha or comparison.standard_error is None:
        return None
    if comparison.changed is not None:
        n = comparison.effective or comparison.n
        return _detectable_mcnemar(n, max(comparison.changed, 3 / n), alpha, power, margin)
    degrees = comparison.degrees
    quantile = normal_quantile if degrees is None else lambda q: t_quantile(q, degrees)
    significant, beyond = quantile(1 - alpha), quantile(power)
    drop, se = 0.0, comparison.standard_error
    for _ in range(20):  # labels that drop vary more than labels that stay: their own variance joins in
        drop = max(margin, significant * se) + beyond * se
        se = math.hypot(comparison.standard_error, math.sqrt(drop / comparison.n)) if comparison.labels else se
    return drop


def _detectable_mcnemar(n: int, changed: float, alpha: float, power: float, margin: float) -> float | None:
    """Bisect for the drop; besides it, a share `changed` of the questions changes by chance, either way."""
    from scipy.stats import binom

    discordant = np.arange(n + 1)
    # fewest losses among so many changes that are significant, and beyond the margin
    significant = binom.isf(alpha, discordant, 0.5) + 1
    beyond = np.floor((discordant + margin * n) / 2 + 1e-9) + 1
    fewest = np.maximum(significant, beyond)
    low, high = 0.0, 1.0 - changed
    if high <= 0 or _mcnemar_power(fewest, changed, high) < power:
        return None
    for _ in range(14):
        middle = (low + high) / 2
        if _mcnemar_power(fewest, changed, middle) < power:
            low = middle
        else:
            high = middle
    return high


def _mcnemar_power(fewest: np.ndarray, changed: float, drop: float) -> float:
    """Chance of at least `fewest[k]` losses, over k changed questions of len(fewest) - 1."""
    from scipy.stats import binom

    discordant = np.arange(len(fewest))
    chance = binom.pmf(discordant, len(fewest) - 1, changed + drop)
    lost = (changed / 2 + drop) / (changed + drop)
    return float((chance * binom.sf(fewest - 1, discordant, lost)).sum())


def needed(comparison: Comparison, margin: float, alpha: float, power: float) -> int | None:
    """About how many questions of the same kind would decide, if the true drop is the one that was seen.

    A drop within the margin is decided when the interval excludes the margin; one beyond it, when noise explains
    neither the drop nor that it is beyond. None where the drop is so near the margin that no number would do.
    """
    if not comparison.standard_error or not comparison.n:
        return None
    drop, beyond = -comparison.difference, normal_quantile(power)
    both = normal_quantile(1 - alpha) + beyond
    gap = (margin - drop) / both if drop < margin else min(drop / both, (drop - margin) / beyond)
    count = comparison.n * (comparison.standard_error / gap) ** 2 if gap > 0 else math.inf
    return math.ceil(count) if count <= MAX_NEEDED else None
