"""Corrected shares: the formulas by hand, coverage by simulation, and what cannot be corrected."""

import numpy as np
import pytest

from unlearn_bench.stats.correction import Confusion, confusion, post_stratified, rogan_gladen

RATES = (0.05, 0.2, 0.5, 0.8, 0.95)
DRAWS = 1_000
STRATIFIED_DRAWS = 500  # each of n answers; a coverage of 0.95 is found within 0.02, two standard errors


def test_a_perfect_judge_is_left_as_it_is() -> None:
    found = rogan_gladen(0.3, 200, Confusion(500, 0, 0, 500))
    assert found.value == pytest.approx(0.3)
    assert found.interval.low < 0.3 < found.interval.high


def test_rogan_gladen_by_hand() -> None:
    # (0.85 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.65 / 0.7
    assert rogan_gladen(0.85, 400, Confusion(90, 10, 20, 80)).value == pytest.approx(0.65 / 0.7)


def test_shares_that_the_judge_alone_explains_are_cut_at_the_ends() -> None:
    judge = Confusion(90, 10, 20, 80)
    assert rogan_gladen(0.18, 400, judge).value == 0.0
    assert rogan_gladen(0.1, 400, judge) is None  # no truth gives so few
    assert rogan_gladen(0.93, 400, judge).value == 1.0
    assert rogan_gladen(1.0, 400, judge) is None  # nor so many
    assert rogan_gladen(1.0, 4, judge).value == 1.0  # four answers say little


@pytest.mark.parametrize("judge", [Confusion(0, 0, 3, 7), Confusion(3, 7, 0, 0), Confusion(50, 50, 50, 50)])
def test_what_cannot_be_corrected_has_no_value(judge: Confusion) -> None:
    assert rogan_gladen(0.5, 100, judge) is None


@pytest.mark.slow
@pytest.mark.parametrize("labels", [60, 120, 400])
@pytest.mark.parametrize("n", [100, 400])
def test_rogan_gladen_covers(n: int, labels: int) -> None:
    rng = np.random.default_rng(labels + n)
    sensitivity, specificity, half = 0.84, 0.95, labels // 2
    for theta in RATES:
        covered = 0
        for _ in range(DRAWS):
            positive = rng.binomial(n, theta * sensitivity + (1 - theta) * (1 - specificity))
            hits, rejections = rng.binomial(half, sensitivity), rng.binomial(half, specificity)
            judge = Confusion(hits, half - hits, half - rejections, rejections)
            found = rogan_gladen(positive / n, n, judge)
            covered += found is not None and found.interval.low <= theta <= found.interval.high
        assert covered / DRAWS >= 0.93, theta


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [60, 400])
@pytest.mark.parametrize("by_verdict", [False, True])
def test_post_stratified_covers_and_is_unbiased(labelled: int, by_verdict: bool) -> None:
    rng = np.random.default_rng(labelled)
    n = 500
    for theta in (0.05, 0.5, 0.95):
        covered, values = 0, []
        for _ in range(STRATIFIED_DRAWS):
            truth = rng.random(n) < theta
            verdicts = np.where(truth, rng.random(n) < 0.84, rng.random(n) >= 0.95)
            order = rng.permutation(n)
            if by_verdict:  # half of the labels on each side, as far as they go
                sides = [order[verdicts[order]], order[~verdicts[order]]]
                order = np.concatenate([side[: labelled // 2] for side in sides])
            known = set(order[:labelled].tolist())
            labels = [y if i in known else None for i, y in enumerate(truth.tolist())]
            found = post_stratified(verdicts.tolist(), labels)
            if found is None:  # none of the few answers of one verdict was drawn
                continue
            low, high, *_ = found.interval
            covered += low <= theta <= high
            values.append(found.value)
        assert len(values) > 0.97 * STRATIFIED_DRAWS
        assert covered / len(values) >= 0.93, theta
        assert np.mean(values) == pytest.approx(theta, abs=0.01)


def test_a_verdict_without_labels_cannot_be_corrected() -> None:
    assert post_stratified([True, True, False], [True, False, None]) is None
    assert post_stratified([], []) is None


def test_one_verdict_alone() -> None:
    found = post_stratified([True] * 4, [True, True, False, None])
    assert (found.value, found.labels) == (pytest.approx(2 / 3), 3)


def test_answers_alike_within_clusters_widen_the_interval() -> None:
    verdicts = [True, False] * 100
    labels = [i // 2 % 10 < 5 for i in range(200)]  # the label is the cluster's
    clusters = [f"author {i // 2 % 10}" for i in range(200)]
    alone, together = post_stratified(verdicts, labels), post_stratified(verdicts, labels, clusters)
    assert alone.value == together.value == 0.5
    assert together.interval.high - together.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


def test_confusion_counts() -> None:
    found = confusion([True, True, False, False, False], [True, False, True, False, False])
    assert found == Confusion(1, 1, 1, 2)
    assert (found.sensitivity, found.specificity) == (0.5, pytest.approx(2 / 3))
