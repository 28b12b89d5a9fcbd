"""What share of answers is forgotten, given a judge that is sometimes wrong.

With a judge's sensitivity Se and specificity Sp, measured elsewhere, its share p of positive verdicts is corrected:

    theta = (p + Sp - 1) / (Se + Sp - 1)                       Rogan & Gladen 1978, Am. J. Epidemiology 107:71

with the interval of Lang & Reiczigel (2014, Prev. Vet. Med. 113:13), which adds the uncertainty of p, Se and Sp after
adding pseudo-observations. With labels of some of the very answers, the judge serves as a stratification:

    theta = sum over verdicts v of W_v * (share of positives among the labelled answers of verdict v)

W_v is the verdict's share among all answers. For a verdict of 0 or 1 this is prediction-powered inference at its best
coefficient (PPI++, Angelopoulos et al., arXiv 2311.01453), and it stays right where labels were drawn by verdict. The
interval is Wilson's for each verdict and for W, put together by MOVER (Zou & Donner 2008): PPI++'s own normal interval
covers 85 to 90 % at 60 labels and shares of 0.05 and 0.95 (`tests/unit/stats/test_correction.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from unlearn_bench.stats.distributions import normal_quantile
from unlearn_bench.stats.intervals import Interval, cluster_wilson, wilson

LEAST_YOUDEN = 0.1  # Se + Sp - 1 below this: the judge says too little to correct anything


class Confusion(NamedTuple):
    """A judge's verdicts against labels: counts (weights of a stratified sample make them fractional).

    Attributes:
        hits: Labelled positive, judged positive.
        misses: Labelled positive, judged negative.
        false_alarms: Labelled negative, judged positive.
        rejections: Labelled negative, judged negative.
    """

    hits: float
    misses: float
    false_alarms: float
    rejections: float

    @property
    def sensitivity(self) -> float | None:
        """Share of the positives that are judged positive, in [0, 1]; None without positives."""
        positives = self.hits + self.misses
        return self.hits / positives if positives else None

    @property
    def specificity(self) -> float | None:
        """Share of the negatives that are judged negative, in [0, 1]; None without negatives."""
        negatives = self.false_alarms + self.rejections
        return self.rejections / negatives if negatives else None


class Corrected(NamedTuple):
    """A corrected share in [0, 1], its interval, and how many labels it rests on."""

    value: float
    interval: Interval
    labels: int


def confusion(labels: Sequence[bool], verdicts: Sequence[bool]) -> Confusion:
    """Count a judge's verdicts against labels of the same answers.

    >>> confusion([True, True, False], [True, False, False])
    Confusion(hits=1, misses=1, false_alarms=0, rejections=1)
    """
    pairs = list(zip(map(bool, labels), map(bool, verdicts), strict=True))
    return Confusion(*(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))))


def rogan_gladen(share: float, n: float, judge: Confusion, *, confidence: float = 0.95) -> Corrected | None:
    """Correct a share of positive verdicts by the judge's error on labels of other answers.

    Args:
        share: Share of positive verdicts, in [0, 1].
        n: Answers it rests on; of clustered answers the effective number.
        judge: The judge against labels.
        confidence: Level of the interval.

    Returns:
        The share, cut to [0, 1]; None where positives or negatives were not labelled, where the judge is too close to
        a coin (`LEAST_YOUDEN`), or where the whole interval lies outside of [0, 1]: whatever the truth, a judge with
        this error does not give such a share, so the labels are of answers unlike these.

    >>> found = rogan_gladen(0.85, 400, Confusion(90, 10, 20, 80))
    >>> round(found.value, 3), [round(x, 2) for x in found.interval[:2]]
    (0.929, [0.84, 1.0])
    """
    if judge.sensitivity is None or judge.specificity is None:
        return None
    if judge.sensitivity + judge.specificity - 1 < LEAST_YOUDEN:
        return None
    z = normal_quantile(0.5 + confidence / 2)
    positives, negatives = judge.hits + judge.misses + 2, judge.false_alarms + judge.rejections + 2
    p = (n * share + z * z / 2) / (n + z * z)
    se, sp = (judge.hits + 1) / positives, (judge.rejections + 1) / negatives
    youden = se + sp - 1
    theta = (p + sp - 1) / youden
    of_se, of_sp = se * (1 - se) / positives, sp * (1 - sp) / negatives
    centre = theta + 2 * z * z * (theta * of_se - (1 - theta) * of_sp)
    variance = p * (1 - p) / (n + z * z) + theta**2 * of_se + (1 - theta) ** 2 * of_sp
    half = z * math.sqrt(variance) / abs(youden)
    if centre + half < 0 or centre - half > 1:
        return None
    value = (share + judge.specificity - 1) / (judge.sensitivity + judge.specificity - 1)
    labels = round(sum(judge))
    interval = Interval(_unit(centre - half), _unit(centre + half), "lang_reiczigel", labels)
    return Corrected(_unit(value), interval, labels)


def post_stratified(
    verdicts: Sequence[bool],
    labels: Sequence[bool | None],
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
) -> Corrected | None:
    """Correct a share of positive verdicts by labels of some of the same answers.

    Args:
        verdicts: The judge's verdict on each answer.
        labels: The label of each answer, None where it has none. Which answers were labelled may depend on the verdict,
            on nothing else.
        clusters: Cluster name of each answer; None: answers are independent.
        confidence: Level of the interval.

    Returns:
        The share and its interval; None where a verdict that occurs has no label at all.

    >>> verdicts = [True] * 60 + [False] * 40
    >>> labels = [True] * 18 + [False] * 2 + [None] * 40 + [True] * 2 + [False] * 18 + [None] * 20
    >>> found = post_stratified(verdicts, labels)
    >>> round(found.value, 3), [round(x, 2) for x in found.interval[:2]], found.labels
    (0.58, [0.43, 0.7], 40)
    """
    total, judged = len(verdicts), [bool(v) for v in verdicts]
    shares = {side: judged.count(side) / total for side in (True, False)} if total else {}
    strata = {}
    for side, weight in shares.items():
        if not weight:
            continue
        chosen = [i for i, (v, y) in enumerate(zip(judged, labels, strict=True)) if v is side and y is not None]
        if not chosen:
            return None
        values = [float(bool(labels[i])) for i in chosen]
        strata[side] = (weight, *_share(values, clusters and [clusters[i] for i in chosen], confidence))
    if not strata:
        return None
    theta = math.fsum(weight * p for weight, p, _, _ in strata.values())
    below = math.fsum((weight * (p - low)) ** 2 for weight, p, low, _ in strata.values())
    above = math.fsum((weight * (high - p)) ** 2 for weight, p, _, high in strata.values())
    if len(strata) == 2:  # the verdicts' shares are those of a sample of questions
        distance = abs(strata[True][1] - strata[False][1])
        weight, low, high = _share(judged, clusters, confidence)
        below, above = below + (distance * (weight - low)) ** 2, above + (distance * (high - weight)) ** 2
    used = sum(label is not None for label in labels)
    interval = Interval(_unit(theta - math.sqrt(below)), _unit(theta + math.sqrt(above)), "post_stratified", used)
    return Corrected(theta, interval, used)


def _share(values: Sequence[float], clusters: Sequence[str] | None, confidence: float) -> tuple[float, float, float]:
    """(share, low, high); over clusters where there are several."""
    share = math.fsum(values) / len(values)
    if clusters is not None and len(set(clusters)) > 1:
        found = cluster_wilson(values, clusters, confidence=confidence)
    else:
        found = wilson(math.fsum(values), len(values), confidence=confidence)
    return share, found.low, found.high


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
