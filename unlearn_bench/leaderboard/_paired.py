"""Is the new model worse? One-sided tests on the same questions, and what they could have seen.

    d = worth(new) - worth(old)          worth: the metric, its sign turned where lower is better
    0/1 labels, no clusters              McNemar's exact test, one-sided
    0/1 labels or values, clusters       sign-flip test over clusters: under "equal models" each cluster's summed
                                         difference is as likely with either sign: exact for any number of clusters
    values without clusters              sign-flip over items (over more than 500 units: the cluster-robust t test)
    functions of means (LS)              paired bootstrap over clusters or items
    no samples on one side               normal test from the two intervals (their half-widths towards each other)

The sign-flip test is McNemar's with clusters in place of items: with clusters of one and 0/1 labels the two agree. With
few clusters it can never reach a small p-value; `least_p` says so, and such a gate is reported as unable to fail.
Intervals of d are cluster-robust t intervals (Miller, arXiv 2411.00640), of LS percentile bootstrap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from unlearn_bench import stats
from unlearn_bench.schema import MetricValue, Sample

FLIPS = 20_000
MAX_NEEDED = 1_000_000
MAX_FLIPPED_UNITS = 500  # beyond, the t test is as good, and the sign patterns would fill the memory
_EXACT_UNITS = 14  # 2^14 sign patterns are enumerated; beyond, they are drawn


@dataclass(frozen=True)
class Comparison:
    """New against old on one metric, in worth (higher is better).

    Attributes:
        difference: new - old.
        low, high: Two-sided 95 % interval of the difference; None where nothing is known of the noise.
        p_worse: One-sided p-value of "the new model is worse"; None without a test.
        p_two_sided: Two-sided p-value of "the models differ".
        least_p: Smallest `p_worse` that any answers could have given.
        standard_error: Of the difference.
        n, units: Questions, and independent units among them.
        degrees: Degrees of freedom of the test; None: normal.
        changed: Share of the questions whose label changed, where McNemar's test was made.
        labels: The values are 0 or 1.
    """

    difference: float
    low: float | None
    high: float | None
    p_worse: float | None
    p_two_sided: float | None
    least_p: float
    standard_error: float | None
    n: int
    units: int
    method: str
    degrees: int | None = None
    changed: float | None = None
    labels: bool = False


def detectable(comparison: Comparison, alpha: float, power: float, margin: float) -> float | None:
    """The smallest true drop that is called a regression with probability `power`; None if none can be.

    A regression needs an estimated drop beyond the margin and p <= alpha. For McNemar's test the power is computed
    exactly; for the others the threshold is the larger of the margin and q_alpha * SE, and the true drop lies q_power *
    SE beyond.
    """
    from scipy.stats import norm, t

    if comparison.least_p > alpha or comparison.standard_error is None:
        return None
    if comparison.changed is not None:
        return _detectable_mcnemar(comparison.n, max(comparison.changed, 3 / comparison.n), alpha, power, margin)
    quantile = norm.ppf if comparison.degrees is None else lambda q: t.ppf(q, comparison.degrees)
    significant, beyond = float(quantile(1 - alpha)), float(quantile(power))
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
    from scipy.stats import norm

    if not comparison.standard_error:
        return None
    drop, beyond = -comparison.difference, float(norm.ppf(power))
    both = float(norm.ppf(1 - alpha)) + beyond
    gap = (margin - drop) / both if drop < margin else min(drop / both, (drop - margin) / beyond)
    count = comparison.n * (comparison.standard_error / gap) ** 2 if gap > 0 else math.inf
    return math.ceil(count) if count <= MAX_NEEDED else None


def paired(
    old: Sequence[float],
    new: Sequence[float],
    clusters: Sequence[str] | None,
    *,
    proportion: bool,
    higher_is_better: bool,
    seed: int = 0,
) -> Comparison:
    """Compare a metric that is a mean, question by question.

    Args:
        old: Values of the questions.
        new: Values of the same questions, in the same order.
        clusters: Cluster of each question, or None.
        proportion: The values are 0 or 1.
        higher_is_better: Direction of the metric.
        seed: Of the drawn sign patterns.
    """
    sign = 1.0 if higher_is_better else -1.0
    d = sign * (np.asarray(new, dtype=float) - np.asarray(old, dtype=float))
    t_test = stats.paired_difference(np.zeros(len(d)), d, clusters)
    se, units = stats.standard_error(d, clusters) if len(d) > 1 else (math.nan, 1)
    sums = _cluster_sums(d, clusters)
    if proportion and clusters is None:
        p_worse, p_two, least = _mcnemar(d)
        method = "mcnemar_exact"
    elif len(sums) <= MAX_FLIPPED_UNITS:
        p_worse, p_two, least = _sign_flip(sums, seed)
        method = "sign_flip" if clusters is None else "cluster_sign_flip"
    else:
        p_worse, p_two, least = _one_sided(t_test.p_value, t_test.difference), t_test.p_value, 0.0
        method = t_test.method
    interval = t_test.interval
    return Comparison(
        difference=float(d.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_worse=p_worse,
        p_two_sided=p_two,
        least_p=least,
        standard_error=_planning_error(d, se, units, proportion),
        n=len(d),
        units=units,
        method=method,
        degrees=units - 1,
        changed=float((d != 0).mean()) if method == "mcnemar_exact" else None,
        labels=proportion,
    )


def _planning_error(d: np.ndarray, se: float, units: int, proportion: bool) -> float | None:
    """Standard error to plan with: an observed 0 (no question changed) is no promise that none ever does.

    With 0 changes of n, up to 3 / n of the questions may change (rule of three), each by 1, and all of a cluster alike.
    """
    if units < 2 or math.isnan(se):
        return None
    if proportion:
        return max(se, math.sqrt(min(1.0, 3 / len(d)) / units))
    return se or None  # equal answers say nothing about the noise of a mean


def _cluster_sums(d: np.ndarray, clusters: Sequence[str] | None) -> np.ndarray:
    if clusters is None:
        return d
    index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    return np.bincount(index, weights=d)


def _mcnemar(d: np.ndarray) -> tuple[float, float, float]:
    from scipy.stats import binomtest

    lost, won = int((d < 0).sum()), int((d > 0).sum())
    if lost + won == 0:
        return 1.0, 1.0, 0.5 ** len(d)
    worse = binomtest(lost, lost + won, alternative="greater").pvalue
    return float(worse), float(binomtest(lost, lost + won).pvalue), 0.5 ** len(d)


def _sign_flip(sums: np.ndarray, seed: int) -> tuple[float, float, float]:
    """One-sided p-value of a negative sum, two-sided p-value, and the smallest one-sided p-value with so many units."""
    units, observed = len(sums), float(sums.sum())
    moving = sums[sums != 0]
    least = 0.5**units
    if not len(moving):
        return 1.0, 1.0, least
    slack = 1e-9 * float(np.abs(moving).sum())
    if len(moving) <= _EXACT_UNITS:
        bits = (np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving))) & 1
        totals = (1 - 2 * bits) @ moving
        worse = float(np.mean(totals <= observed + slack))
        two = float(np.mean(np.abs(totals) >= abs(observed) - slack))
        return worse, two, least
    totals = _signs(len(moving), seed) @ moving
    # The pattern that was seen counts too (Phipson & Smyth 2010): p is never 0, and the test stays valid.
    worse = (1 + int((totals <= observed + slack).sum())) / (1 + len(totals))
    two = (1 + int((np.abs(totals) >= abs(observed) - slack).sum())) / (1 + len(totals))
    return worse, two, max(least, 1 / (1 + FLIPS))


@lru_cache(maxsize=2)
def _signs(units: int, seed: int) -> np.ndarray:
    """Random signs, (FLIPS, units): the same draws for every metric over as many units."""
    rng = np.random.default_rng([seed, units])
    return 1 - 2 * rng.integers(0, 2, size=(FLIPS, units), dtype=np.int8).astype(np.float32)


def paired_corpus(
    old: np.ndarray,
    new: np.ndarray,
    clusters: Sequence[str] | None,
    combine: Callable[[np.ndarray], np.ndarray],
    *,
    higher_is_better: bool,
    seed: int = 0,
) -> Comparison:
    """Compare a function of several means (LS): components of shape (n, k), NaN where an item lacks one."""
    sign = 1.0 if higher_is_better else -1.0
    test = stats.paired_bootstrap(old, new, clusters, combine=lambda means: sign * combine(means), seed=seed)
    interval = test.interval
    units = len(old) if clusters is None else len(set(clusters))
    se = None if interval is None else (interval.high - interval.low) / (2 * 1.959963984540054)
    return Comparison(
        difference=test.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_worse=_one_sided(test.p_value, test.difference),
        p_two_sided=test.p_value,
        least_p=0.5 / 10_000 if units > 1 else 1.0,
        standard_error=se or None,
        n=len(old),
        units=units,
        method=test.method,
        degrees=units - 1,
    )


def _one_sided(p_two_sided: float, difference: float) -> float:
    return p_two_sided / 2 if difference < 0 else 1 - p_two_sided / 2


def unpaired(old: MetricValue, new: MetricValue, *, higher_is_better: bool) -> Comparison:
    """Compare two values by their intervals alone; without intervals only the difference is known."""
    from scipy.stats import norm

    sign = 1.0 if higher_is_better else -1.0
    difference = sign * (new.value - old.value)
    if old.ci95 is None or new.ci95 is None:
        return Comparison(difference, None, None, None, None, 1.0, None, new.n, new.n, "values_only")
    z = 1.959963984540054
    (old_low, old_high), (new_low, new_high) = (_worth(m, sign) for m in (old, new))
    a, b = sign * old.value, sign * new.value
    down = math.hypot(b - new_low, old_high - a)  # MOVER: each interval's half towards the other
    up = math.hypot(new_high - b, a - old_low)
    # "Worse" is judged by the halves that would have to be explained away: the new one's upper, the old one's lower.
    se = up / z if difference < 0 else down / z
    p_worse = float(norm.cdf(difference / se)) if se > 0 else float(difference >= 0)
    two = 1.0 if difference == 0 else 2 * min(p_worse, 1 - p_worse)
    return Comparison(
        difference=difference,
        low=difference - down,
        high=difference + up,
        p_worse=p_worse,
        p_two_sided=two,
        least_p=0.0,
        standard_error=max(up, down) / z,
        n=min(old.n, new.n),
        units=min(old.n, new.n),
        method="intervals",
    )


def _worth(metric: MetricValue, sign: float) -> tuple[float, float]:
    low, high = sorted(sign * end for end in metric.ci95)
    return low, high


def align(old: Sequence[Sample], new: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """The questions that both were asked, in the old order. Rows are matched by task and id, and must ask the same."""
    mine = {(s.task, s.id): s for s in new}
    pairs = [(s, mine[s.task, s.id]) for s in old if (s.task, s.id) in mine]
    return [(a, b) for a, b in pairs if a.question == b.question and a.reference == b.reference]
