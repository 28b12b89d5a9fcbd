import itertools
import math

import numpy as np
import pytest

from unlearn_bench.stats import leaks


@pytest.mark.parametrize(("count", "k"), [(0, 3), (1, 1), (2, 3), (5, 2), (7, 7)])
def test_both_estimators_are_the_mean_over_all_choices(count, k):
    draws = [1.0] * count + [0.0] * (7 - count)
    chosen = [max(part) for part in itertools.combinations(draws, k)]
    assert leaks.leak_at_k(count, 7, k) == pytest.approx(np.mean(chosen))
    assert leaks.expected_max_at_k(draws, k) == pytest.approx(np.mean(chosen))


def test_the_expected_maximum_of_scores():
    scores = [0.1, 0.7, 0.3, 0.9, 0.2]
    chosen = [max(part) for part in itertools.combinations(scores, 3)]
    assert leaks.expected_max_at_k(scores, 3) == pytest.approx(np.mean(chosen))
    assert leaks.expected_max_at_k(scores, 1) == pytest.approx(np.mean(scores))


@pytest.mark.parametrize("k", [0, 8])
def test_more_than_was_drawn_is_no_estimate(k):
    with pytest.raises(ValueError, match=r"needs at least|maximum of 0|leak@0"):
        leaks.leak_at_k(1, 7, k)
    with pytest.raises(ValueError, match="needs at least"):
        leaks.expected_max_at_k([0.0] * 7, k)


def test_bounds_cover():
    draw = np.random.default_rng(0)
    counts = draw.binomial(32, 0.1, size=2000)
    table = {count: leaks.rate_bound(int(count), 32) for count in set(counts)}
    assert np.mean([table[count] >= 0.1 for count in counts]) >= 0.95
    scores = draw.beta(1, 4, size=(500, 32))  # mean 0.2
    assert np.mean([leaks.mean_bound(row) >= 0.2 for row in scores.tolist()]) >= 0.95


def test_bounds_by_hand():
    assert leaks.rate_bound(0, 32) == pytest.approx(1 - 0.05 ** (1 / 32))
    assert leaks.rate_bound(3, 3) == 1.0
    eps = math.sqrt(math.log(20) / 64)
    assert leaks.mean_bound([0.0] * 32) == pytest.approx(eps)
    assert leaks.mean_bound([1.0] * 4) == 1.0
