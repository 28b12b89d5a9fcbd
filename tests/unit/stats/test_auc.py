"""The AUC and its interval, against scipy and against simulated coverage."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from unlearn_bench.stats.auc import auc, placements


def test_auc_is_the_mann_whitney_statistic_with_ties() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 60).astype(float), rng.integers(2, 12, 80).astype(float)
    value, interval = auc(x, y)
    assert value == pytest.approx(mannwhitneyu(y, x).statistic / (60 * 80))
    assert interval.low < value < interval.high
    assert [float(v.mean()) for v in placements(x, y)] == pytest.approx([value, value])


def test_variance_is_delongs() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, 50), rng.normal(1, 1, 70)
    v10, v01 = placements(x, y)
    delong = v10.var(ddof=1) / 50 + v01.var(ddof=1) / 70
    value, interval = auc(x, y)
    logit = np.log([interval.low / (1 - interval.low), interval.high / (1 - interval.high)])
    half = float(logit[1] - logit[0]) / 2
    assert half * value * (1 - value) / np.sqrt(delong) == pytest.approx(2.0096, abs=1e-3)  # t, 49 degrees


def test_perfect_separation_is_not_certain() -> None:
    value, interval = auc([1.0] * 20, [2.0] * 30)
    assert (value, interval.high) == (1.0, 1.0)
    assert 0.8 < interval.low < 0.9
    assert auc([1.0], [2.0, 3.0])[1] is None


def test_clusters_widen_the_interval_and_keep_coverage() -> None:
    rng, covered, widths = np.random.default_rng(2), 0, []
    names = [str(i // 10) for i in range(120)]
    truth = 0.5
    for _ in range(200):
        x = np.repeat(rng.normal(0, 1, 12), 10) + rng.normal(0, 0.5, 120)
        y = np.repeat(rng.normal(0, 1, 12), 10) + rng.normal(0, 0.5, 120)
        _, clustered = auc(x, y, names, names)
        widths.append((clustered.high - clustered.low) / np.subtract(*auc(x, y)[1][1::-1]))
        covered += clustered.low <= truth <= clustered.high
    assert 0.9 <= covered / 200 <= 0.99
    assert np.median(widths) > 2
