"""Weighted kappa and Krippendorff's alpha: by hand, against published values, and where they are undefined."""

import numpy as np
import pytest

from unlearn_bench.stats.agreement import krippendorff_alpha, weighted_kappa


def test_alpha_of_the_published_example() -> None:
    # Krippendorff (2011), section A: two observers, ten items, alpha = 0.095
    a = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    b = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(a, b, resamples=0).value == pytest.approx(0.095, abs=5e-4)


def test_alpha_is_one_minus_observed_over_expected_over_all_pairs() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 5, 40).tolist()
    b = [min(4, max(0, x + int(rng.integers(-1, 2)))) for x in a]
    both = a + b
    observed = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 40
    expected = sum((x - y) ** 2 for x in both for y in both) / (80 * 79)
    assert krippendorff_alpha(a, b, resamples=0).value == pytest.approx(1 - observed / expected)


def test_kappa_by_hand() -> None:
    # observed: 1 of 4 pairs off by one. expected: rows 1/4 1/4 2/4, columns 1/4 2/4 1/4
    expected = sum(r * c * abs(i - j) for i, r in enumerate((0.25, 0.25, 0.5)) for j, c in enumerate((0.25, 0.5, 0.25)))
    found = weighted_kappa([0, 1, 2, 2], [0, 1, 1, 2], 3, resamples=0)
    assert found.value == pytest.approx(1 - 0.25 / expected)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_kappa_is_that_of_scikit_learn(weights: str) -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 4, 70), rng.integers(0, 4, 70)
    expected = cohen_kappa_score(a, b, weights=weights, labels=range(4))
    assert weighted_kappa(a, b, 4, weights=weights, resamples=0).value == pytest.approx(expected)


def test_perfect_agreement_and_chance() -> None:
    a = [0, 1, 2, 0, 1, 2]
    assert weighted_kappa(a, a, 3, resamples=0).value == krippendorff_alpha(a, a, resamples=0).value == 1.0
    assert weighted_kappa([0, 0, 2, 2], [0, 2, 0, 2], 3, resamples=0).value == pytest.approx(0.0)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1, 1], [1, 1])])
def test_nothing_to_agree_on_is_undefined(a: list[int], b: list[int]) -> None:
    assert weighted_kappa(a, b, 3) is None
    assert krippendorff_alpha(a, b) is None


def test_one_that_never_varies_has_no_kappa_above_chance() -> None:
    found = weighted_kappa([1, 1, 1, 1], [0, 1, 1, 2], 3)
    assert found.value == 0.0


def test_intervals_hold_the_value_and_clusters_widen_them() -> None:
    rng = np.random.default_rng(7)
    a = np.repeat(rng.integers(0, 3, 25), 8)
    agrees = np.repeat(rng.random(25) < 0.7, 8)  # whole clusters agree or not
    b = np.where(agrees, a, (a + 1) % 3)
    clusters = [str(i // 8) for i in range(200)]
    for found, clustered in (
        (weighted_kappa(a, b, 3), weighted_kappa(a, b, 3, clusters=clusters)),
        (krippendorff_alpha(a, b), krippendorff_alpha(a, b, clusters=clusters)),
    ):
        assert found.interval.low < found.value < found.interval.high
        assert clustered.value == found.value
        assert clustered.interval.high - clustered.interval.low > 1.5 * (found.interval.high - found.interval.low)


def test_one_item_has_no_interval() -> None:
    assert weighted_kappa([0], [1], 3).interval is None
