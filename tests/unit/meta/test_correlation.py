"""Correlations between metrics over a pool."""

import pytest
from scipy.stats import pearsonr, spearmanr

from unlearn_bench.meta.correlation import correlations

A, B = [0.1, 0.4, 0.35, 0.8, 0.9], [1.0, 1.0, 3.0, 9.0, 5.0]


def test_they_are_scipys():
    spearman, pearson = correlations({"a": A, "b": B})
    assert spearman[0][1] == pytest.approx(spearmanr(A, B).statistic)
    assert pearson[1][0] == pytest.approx(pearsonr(A, B).statistic)
    assert spearman[0][0] == pearson[1][1] == pytest.approx(1.0)


def test_models_without_a_value_are_left_out_pair_by_pair():
    spearman, _ = correlations({"a": [*A, None, 0.5], "b": [*B, 4.0, None]})
    assert spearman[0][1] == pytest.approx(spearmanr(A, B).statistic)


def test_a_constant_or_two_models_are_undefined():
    spearman, pearson = correlations({"a": A, "same": [1.0] * 5, "few": [1.0, 2.0, None, None, None]})
    assert spearman[0][1:] == pearson[0][1:] == [None, None]
