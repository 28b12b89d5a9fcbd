"""The functions of scipy.special are scipy.stats' to the last bit, at the places where they are asked."""

import numpy as np
import pytest
from scipy import stats

from unlearn_bench.stats import distributions

FREEDOM = (1, 2, 3.7, 9, 40, 399)


@pytest.mark.parametrize("p", [1e-6, 0.025, 0.05, 0.2, 0.5, 0.8, 0.975, 0.995])
def test_quantiles(p: float) -> None:
    assert distributions.normal_quantile(p) == stats.norm.ppf(p)
    assert [distributions.t_quantile(p, n) for n in FREEDOM] == [stats.t.ppf(p, n) for n in FREEDOM]
    shapes = [(1, 32), (3.5, 8), (40, 2)]
    assert [distributions.beta_quantile(p, *ab) for ab in shapes] == [stats.beta.ppf(p, *ab) for ab in shapes]


def test_tails() -> None:
    for x in (*np.linspace(-5, 5, 41), np.inf, -np.inf):
        assert distributions.normal_cdf(x) == stats.norm.cdf(x)
        assert [distributions.t_tail(x, n) for n in FREEDOM] == [stats.t.sf(x, n) for n in FREEDOM]


def test_without_freedom_or_a_value_there_is_no_number() -> None:
    assert np.isnan([distributions.t_quantile(0.975, 0), stats.t.ppf(0.975, 0)]).all()
    assert np.isnan([distributions.t_tail(np.nan, 3), distributions.normal_cdf(np.nan)]).all()
