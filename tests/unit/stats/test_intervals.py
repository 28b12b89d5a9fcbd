"""Intervals and tests against scipy, published values, and their own promise (coverage by simulation)."""

import math

import numpy as np
import pytest
from scipy import stats as sps

from unlearn_bench.stats import intervals


@pytest.mark.parametrize(("k", "n"), [(97, 110), (0, 20), (20, 20), (3, 7)])
def test_wilson_equals_scipy(k: int, n: int) -> None:
    expected = sps.binomtest(k, n).proportion_ci(method="wilson")
    assert intervals.wilson(k, n)[:2] == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_the_published_kfr() -> None:
    assert [round(x, 2) for x in intervals.wilson(97, 110)[:2]] == [0.81, 0.93]  # 0.88 of 110 items


def _clustered(rng: np.random.Generator, p: float, icc: float, clusters: int, size: int) -> np.ndarray:
    """0/1 items, shape (clusters, size); beta-binomial with intraclass correlation icc."""
    scale = 1 / icc - 1
    return (rng.random((clusters, size)) < rng.beta(p * scale, (1 - p) * scale, clusters)[:, None]).astype(float)


@pytest.mark.parametrize(("p", "least"), [(0.5, 0.92), (0.8, 0.92), (0.95, 0.9)])
def test_cluster_wilson_covers(p: float, least: float) -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([f"c{i}" for i in range(20)], 20).tolist()
    inside = naive = 0
    runs = 500
    for _ in range(runs):
        x = _clustered(rng, p, 0.3, 20, 20).ravel()
        inside += (low := intervals.cluster_wilson(x, names))[0] <= p <= low[1]
        naive += (low := intervals.wilson(x.sum(), len(x)))[0] <= p <= low[1]
    assert inside / runs >= least
    assert naive / runs < 0.75  # the interval over items is what this replaces


def test_cluster_wilson_with_equal_answers_is_wider_than_over_items() -> None:
    names = np.repeat([f"c{i}" for i in range(20)], 20).tolist()
    low, high, method, units = intervals.cluster_wilson([1.0] * 400, names)
    assert (high, method, units) == (1.0, "cluster_wilson", 20)
    # deff = 1 + 19 * 0.1 = 2.9; n_eff = 137.9; t(19) = 2.093; low = 1 / (1 + t^2 / n_eff)
    assert low == pytest.approx(1 / (1 + 2.0930240544**2 / (400 / 2.9)), abs=1e-9)
    assert low < intervals.wilson(400, 400)[0]


def test_cluster_standard_error_is_the_published_formula() -> None:
    x, names = np.array([1.0, 0, 1, 1]), ["a", "a", "b", "b"]
    # mean 0.75; residual sums -0.5 and 0.5; sqrt(2 / 1 * 0.5) / 4
    assert intervals.standard_error(x, names)[0] == pytest.approx(math.sqrt(2 * 0.5) / 4)
    assert intervals.standard_error(x)[0] == pytest.approx(x.std(ddof=1) / 2)


def test_bootstrap_of_a_mean_is_close_to_the_t_interval() -> None:
    x = np.random.default_rng(0).normal(5, 2, 30)
    expected = sps.t.interval(0.95, 29, x.mean(), x.std(ddof=1) / math.sqrt(30))
    assert intervals.bootstrap(x)[:2] == pytest.approx(expected, abs=0.08)


def test_bca_equals_scipy() -> None:
    x = np.random.default_rng(1).lognormal(size=60)
    ours = intervals.bootstrap(x, method="bca", seed=3)
    theirs = sps.bootstrap((x,), np.mean, n_resamples=10_000, method="BCa", rng=4, vectorized=True).confidence_interval
    assert ours[:2] == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_cluster_bootstrap_covers() -> None:
    rng = np.random.default_rng(2)
    names = np.repeat([f"c{i}" for i in range(20)], 10).tolist()
    inside = 0
    for run in range(200):
        x = (rng.normal(0, 1, 20)[:, None] + rng.normal(0, 1, (20, 10))).ravel()
        low, high, *_ = intervals.bootstrap(x, names, resamples=1000, seed=run)
        inside += low <= 0 <= high
    assert inside / 200 >= 0.92


def test_bootstrap_of_a_function_of_means_ignores_what_is_missing() -> None:
    x = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 4.0], [2.0, 2.0]])
    low, high, method, units = intervals.bootstrap(x, combine=lambda m: m[..., 0] / m[..., 1])
    assert (method, units) == ("bootstrap", 4)
    assert low < (11 / 4) / (8 / 3) < high


def test_one_unit_has_no_interval() -> None:
    assert intervals.bootstrap([1.0]) is None
    assert intervals.proportion_interval([1.0, 0.0], ["a", "a"]) is None


def test_the_draws_of_a_sample_size_are_made_once() -> None:
    intervals._weights.cache_clear()
    x = np.random.default_rng(0).random(400)
    first, second = intervals.bootstrap(x), intervals.bootstrap(x[::-1].copy())
    assert first.units == second.units == 400
    assert (intervals._weights.cache_info().misses, intervals._weights.cache_info().hits) == (1, 1)


def test_mcnemar_equals_the_binomial_test() -> None:
    first, second = [1] * 12 + [0] * 3 + [1] * 30, [0] * 12 + [1] * 3 + [1] * 30
    result = intervals.mcnemar(first, second)
    assert result.p_value == pytest.approx(sps.binomtest(3, 15).pvalue)
    assert result.difference == pytest.approx(-9 / 45)
    assert intervals.mcnemar([1, 0], [1, 0]).p_value == 1.0


def test_paired_difference_without_clusters_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    b = a + rng.normal(0.2, 0.5, 40)
    expected = sps.ttest_rel(b, a)
    result = intervals.paired_difference(a, b)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.interval[:2] == pytest.approx(expected.confidence_interval(), abs=1e-12)


def test_clustered_paired_test_keeps_its_level_where_the_naive_one_does_not() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([f"c{i}" for i in range(20)], 20).tolist()
    hits = naive = 0
    for _ in range(300):
        d = (rng.normal(0, 0.55, 20)[:, None] + rng.normal(0, 0.84, (20, 20))).ravel()  # ICC 0.3, no difference
        hits += intervals.paired_difference(np.zeros(400), d, names).p_value < 0.05
        naive += intervals.paired_difference(np.zeros(400), d).p_value < 0.05
    assert hits / 300 <= 0.08
    assert naive / 300 > 0.2


def test_paired_bootstrap_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=80)
    b = a + rng.normal(0.1, 0.5, 80)
    boot, t = intervals.paired_bootstrap(a, b), intervals.paired_difference(a, b)
    assert boot.difference == pytest.approx(t.difference)
    assert boot.p_value == pytest.approx(t.p_value, abs=0.03)
    assert boot.interval[:2] == pytest.approx(t.interval[:2], abs=0.02)
    assert intervals.paired_bootstrap(a, a).p_value == 1.0


def test_holm() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never decreasing
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert intervals.holm([]) == []


@pytest.mark.parametrize(("n", "difference"), [(40, 0.22), (200, 0.10), (400, 0.07)])
def test_minimum_detectable_difference(n: int, difference: float) -> None:
    """Standard deviation 0.5, 80 % power, 5 % level: (1.960 + 0.842) * 0.5 / sqrt(n)."""
    assert intervals.minimum_detectable_difference(0.5 / math.sqrt(n)) == pytest.approx(difference, abs=5e-3)
