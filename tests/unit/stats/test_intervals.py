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
