"""Paired differences against scipy, and their level with clusters."""

import numpy as np
import pytest
from scipy import stats as sps

from unlearn_bench.stats import differences


def test_paired_difference_without_clusters_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    b = a + rng.normal(0.2, 0.5, 40)
    expected = sps.ttest_rel(b, a)
    result = differences.paired_difference(a, b)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.interval[:2] == pytest.approx(expected.confidence_interval(), abs=1e-12)


def test_clustered_paired_test_keeps_its_level_where_the_naive_one_does_not() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([f"c{i}" for i in range(20)], 20).tolist()
    hits = naive = 0
    for _ in range(300):
        d = (rng.normal(0, 0.55, 20)[:, None] + rng.normal(0, 0.84, (20, 20))).ravel()  # ICC 0.3, no difference
        hits += differences.paired_difference(np.zeros(400), d, names).p_value < 0.05
        naive += differences.paired_difference(np.zeros(400), d).p_value < 0.05
    assert hits / 300 <= 0.08
    assert naive / 300 > 0.2


def test_paired_bootstrap_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=80)
    b = a + rng.normal(0.1, 0.5, 80)
    boot, t = differences.paired_bootstrap(a, b), differences.paired_difference(a, b)
    assert boot.difference == pytest.approx(t.difference)
    assert boot.p_value == pytest.approx(t.p_value, abs=0.03)
    assert boot.interval[:2] == pytest.approx(t.interval[:2], abs=0.02)
    assert differences.paired_bootstrap(a, a).p_value == 1.0
