"""Is the new model worse? One-sided tests on the same questions.

    d = worth(new) - worth(old)          worth: the metric, its sign turned where lower is better
    0/1 labels, no clusters              McNemar's exact test, one-sided
    0/1 labels or values, clusters       sign-flip test over clusters: under "equal models" each cluster's summed
                                         difference is as likely with either sign: exact for any number of clusters
    ... clusters too few for alpha       exact test over questions, corrected for what a cluster's questions share
                                         (`questions.py`); `resolved` decides by the number of clusters alone
    values without clusters              sign-flip over items (over more than 500 units: the cluster-robust t test)
    functions of means (LS)              the same swap of models, over clusters or items
    no samples on one side               normal test from the two intervals (their half-widths towards each other)

The sign-flip test is McNemar's with clusters in place of items: with clusters of one and 0/1 labels the two agree.
Intervals of d are cluster-robust t intervals (Miller, arXiv 2411.00640), of LS percentile bootstrap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unlearn_bench.schema import MetricValue
from unlearn_bench.stats import multiplicity, questions
from unlearn_bench.stats.differences import paired_bootstrap, paired_difference
from unlearn_bench.stats.distributions import normal_cdf
from unlearn_bench.stats.intervals import standard_error
from unlearn_bench.stats.multiplicity import Swaps
from unlearn_bench.stats.questions import QuestionTest

MAX_FLIPPED_UNITS = 500  # for more units the t test is as good and much faster
Z95 = 1.959963984540054


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
        changed: Share of the questions that chance changes, where an exact test over questions was made: twice the
            rarer of lost and won.
        effective: Independent questions of that test; None: all of them.
        labels: The values are 0 or 1.
        unchanged: No question's value changed.
        swaps: For the joint test of several metrics; None where units cannot swap.
        questions: The exact test over questions, for the case that there are too few clusters.
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
    effective: int | None = None
    labels: bool = False
    unchanged: bool = False
    swaps: Swaps | None = field(default=None, repr=False)
    questions: QuestionTest | None = None


def resolved(comparison: Comparison, alpha: float) -> Comparison:
    """The comparison with a test that can reach `alpha` (one-sided): over questions where clusters are too few.

    Only the number of clusters and questions decides, never the answers, so the size of the test is kept.
    """
    finer = comparison.questions
    if finer is None or comparison.least_p <= alpha or finer.least_p >= comparison.least_p:
        return comparison
    known = not math.isnan(finer.low)
    return replace(
        comparison,
        p_worse=finer.p_worse,
        p_two_sided=finer.p_two_sided,
        least_p=finer.least_p,
        low=finer.low if known else comparison.low,
        high=finer.high if known else comparison.high,
        effective=finer.effective,
        changed=finer.changed,
        method=questions.METHOD,
        swaps=None,
        questions=None,
    )


def paired(
    old: Sequence[float],
    new: Sequence[float],
    clusters: Sequence[str] | None,
    *,
    proportion: bool,
    higher_is_better: bool,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare a metric that is a mean, question by question.

    Args:
        old: Values of the questions.
        new: Values of the same questions, in the same order.
        clusters: Cluster of each question, or None.
        proportion: The values are 0 or 1.
        higher_is_better: Direction of the metric.
        ids: Names of the questions, for the joint test without clusters; their numbers if left out.
        seed: Of the drawn sign patterns.
    """
    sign = 1.0 if higher_is_better else -1.0
    d = sign * (np.asarray(new, dtype=float) - np.asarray(old, dtype=float))
    t_test = paired_difference(np.zeros(len(d)), d, clusters)
    se, units = standard_error(d, clusters) if len(d) > 1 else (math.nan, 1)
    names, sums, sizes = _by_unit(d, clusters, ids)
    swaps = multiplicity.linear(names, sums / len(d)) if len(sums) <= MAX_FLIPPED_UNITS else None
    if proportion and clusters is None:
        p_worse, p_two, least = _mcnemar(d)
        method = "mcnemar_exact"
    elif swaps is not None:
        p_worse, p_two = multiplicity.one_sided(swaps, seed)
        least = _least_p(len(sums))
        method = "sign_flip" if clusters is None else "cluster_sign_flip"
    else:
        p_worse, p_two, least = _one_sided(t_test.p_value, t_test.difference), t_test.p_value, 0.0
        method = t_test.method
    interval, widest = t_test.interval, 1.0 if proportion else math.inf
    return Comparison(
        difference=float(d.mean()),
        low=max(-widest, interval.low) if interval else None,
        high=min(widest, interval.high) if interval else None,
        p_worse=p_worse,
        p_two_sided=p_two,
        least_p=least,
        standard_error=_planning_error(d, se, units, proportion),
        n=len(d),
        units=units,
        method=method,
        degrees=units - 1,
        changed=questions.changed_by_chance(d) if method == "mcnemar_exact" else None,
        labels=proportion,
        unchanged=not d.any(),
        swaps=swaps,
        questions=None if clusters is None else questions.question_test(d, sizes, labels=proportion),
    )


def _least_p(units: int) -> float:
    """Smallest one-sided p of a sign-flip test: one pattern of all, or of those that are drawn."""
    return 0.5**units if units <= multiplicity.EXACT_UNITS else max(0.5**units, 1 / (1 + multiplicity.DRAWS))


def _planning_error(d: np.ndarray, se: float, units: int, proportion: bool) -> float | None:
    """Standard error to plan with: an observed 0 (no question changed) does not mean that none ever changes.

    With 0 changes of n, up to 3 / n of the questions may change (rule of three), each by 1, and all of a cluster alike.
    """
    if units < 2 or math.isnan(se):
        return None
    if proportion:
        return max(se, math.sqrt(min(1.0, 3 / len(d)) / units))
    return se or None  # equal answers say nothing about the noise of a mean


def _by_unit(
    d: np.ndarray, clusters: Sequence[str] | None, ids: Sequence[str] | None
) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
    """Names, sums and sizes of the independent units: clusters, or single questions."""
    if clusters is None:
        return ids or [str(i) for i in range(len(d))], d, np.ones(len(d))
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return [str(name) for name in names], np.bincount(index, weights=d), np.bincount(index).astype(float)


def _mcnemar(d: np.ndarray) -> tuple[float, float, float]:
    from scipy.stats import binomtest

    lost, won = int((d < 0).sum()), int((d > 0).sum())
    if lost + won == 0:
        return 1.0, 1.0, 0.5 ** len(d)
    worse = binomtest(lost, lost + won, alternative="greater").pvalue
    return float(worse), float(binomtest(lost, lost + won).pvalue), 0.5 ** len(d)


def paired_corpus(
    old: np.ndarray,
    new: np.ndarray,
    clusters: Sequence[str] | None,
    combine: Callable[[np.ndarray], np.ndarray],
    *,
    higher_is_better: bool,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare a function of several means (LS): components of shape (n, k), NaN where an item lacks one."""
    sign = 1.0 if higher_is_better else -1.0
    test = paired_bootstrap(old, new, clusters, combine=lambda means: sign * combine(means), seed=seed)
    interval = test.interval
    names = clusters if clusters is not None else ids or [str(i) for i in range(len(old))]
    units = len(set(names))
    swaps = _corpus_swaps(old, new, names, lambda means: sign * combine(means)) if units <= MAX_FLIPPED_UNITS else None
    p_worse, p_two, least = _one_sided(test.p_value, test.difference), test.p_value, 0.5 / 10_000
    if swaps is not None:
        (p_worse, p_two), least = multiplicity.one_sided(swaps, seed), _least_p(units)
    se = None if interval is None else (interval.high - interval.low) / (2 * Z95)
    return Comparison(
        difference=test.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_worse=p_worse,
        p_two_sided=p_two,
        least_p=least if units > 1 else 1.0,
        standard_error=se or None,
        n=len(old),
        units=units,
        method=test.method if swaps is None else "sign_flip" if clusters is None else "cluster_sign_flip",
        degrees=units - 1,
        unchanged=np.array_equal(old, new, equal_nan=True),
        swaps=swaps,
    )


def _corpus_swaps(
    old: np.ndarray, new: np.ndarray, names: Sequence[str], worth: Callable[[np.ndarray], np.ndarray]
) -> Swaps:
    """Swaps of a function of means: units exchange their sums and counts between the models."""
    units, index = np.unique(np.asarray(names, dtype=str), return_inverse=True)

    def sums(rows: np.ndarray) -> np.ndarray:
        both = np.hstack([np.nan_to_num(rows), ~np.isnan(rows)]).astype(float)
        return np.stack([np.bincount(index, weights=column) for column in both.T], axis=1)

    a, b = sums(old), sums(new)
    middle, half = (a + b).sum(axis=0) / 2, (b - a) / 2

    def difference(signs: np.ndarray) -> np.ndarray:
        moved = signs @ half
        return worth(_means(middle + moved)) - worth(_means(middle - moved))

    return Swaps([str(unit) for unit in units], difference)


def _means(totals: np.ndarray) -> np.ndarray:
    k = totals.shape[-1] // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[..., :k] / totals[..., k:]


def _one_sided(p_two_sided: float, difference: float) -> float:
    return p_two_sided / 2 if difference < 0 else 1 - p_two_sided / 2


def unpaired(old: MetricValue, new: MetricValue, *, higher_is_better: bool) -> Comparison:
    """Compare two values by their intervals alone; without intervals only the difference is known.

    Raises:
        ValueError: if one is undefined.
    """
    if old.value is None or new.value is None:
        raise ValueError("an undefined value has no difference")
    sign = 1.0 if higher_is_better else -1.0
    difference = sign * (new.value - old.value)
    n = min(old.n, new.n)
    if old.ci95 is None or new.ci95 is None:
        return Comparison(difference, None, None, None, None, 1.0, None, n, n, "values_only")
    (old_low, old_high), (new_low, new_high) = (sorted(sign * end for end in m) for m in (old.ci95, new.ci95))
    a, b = sign * old.value, sign * new.value
    down = math.hypot(b - new_low, old_high - a)  # MOVER: each interval's half towards the other
    up = math.hypot(new_high - b, a - old_low)
    # "Worse" is judged by the halves that would have to be explained away: the new one's upper, the old one's lower.
    se = up / Z95 if difference < 0 else down / Z95
    p_worse = normal_cdf(difference / se) if se > 0 else float(difference >= 0)
    two = 1.0 if difference == 0 else 2 * min(p_worse, 1 - p_worse)
    return Comparison(
        difference=difference,
        low=difference - down,
        high=difference + up,
        p_worse=p_worse,
        p_two_sided=two,
        least_p=0.0,
        standard_error=max(up, down) / Z95,
        n=n,
        units=n,
        method="intervals",
    )
