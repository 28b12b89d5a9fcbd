"""AUC, its interval, places with ties, and the threshold between models that know and that do not."""

import itertools
import random

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from unlearn_bench.meta.faithfulness import Separation, ranks, separation, threshold, wins


def counted(positive, negative):
    """The definition, pair by pair."""
    pairs = list(itertools.product(positive, negative))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(20))
def test_auc_is_the_share_of_pairs_and_mann_whitneys_u(seed):
    rng = random.Random(seed)
    positive = [rng.randint(0, 6) / 2 + 1 for _ in range(rng.randint(3, 9))]
    negative = [rng.randint(0, 6) / 2 for _ in range(rng.randint(3, 9))]
    found = separation(positive, negative, resamples=50)
    assert found.auc == pytest.approx(counted(positive, negative))
    u = mannwhitneyu(positive, negative, alternative="two-sided").statistic
    assert found.auc == pytest.approx(u / (len(positive) * len(negative)))


def test_turned_round_the_auc_is_the_rest():
    positive, negative = [0.4, 0.5, 0.9, 0.7], [0.1, 0.6, 0.4]
    one = separation(positive, negative).auc
    assert separation(negative, positive).auc == pytest.approx(1 - one)
    assert separation([-x for x in positive], [-x for x in negative]).auc == pytest.approx(1 - one)


def test_an_auc_below_one_half_is_shown_as_it_is():
    assert separation([0.1, 0.2, 0.3], [0.7, 0.8, 0.9]).auc == 0.0


def test_equal_values_everywhere_are_one_half():
    found = separation([1.0] * 5, [1.0] * 4)
    assert (found.auc, found.ci95) == (0.5, (0.5, 0.5))


def test_two_models_on_a_side_are_no_pool():
    assert separation([0.9, 0.8], [0.1, 0.2, 0.3]) is None


def test_sides_that_do_not_overlap_have_no_interval_of_a_point():
    """Every bootstrap draw says 1: Wilson's interval of 5 of 5."""
    found = separation([0.9] * 5 + [0.8], [0.1] * 5)
    assert (found.auc, found.ci95[1]) == (1.0, 1.0)
    assert found.ci95[0] == pytest.approx(5 / (5 + 1.96**2), abs=1e-3)


def test_the_same_models_are_drawn_for_every_metric():
    positive, negative = [0.2, 0.5, 0.9, 0.7, 0.3], [0.1, 0.6, 0.4, 0.35]
    assert separation(positive, negative) == separation([10 * x for x in positive], [10 * x for x in negative])


@pytest.mark.parametrize(("distance", "size"), [(1.0, 20), (0.0, 12)])
def test_the_interval_covers_the_truth(distance, size):
    """Of normal values a distance apart the AUC is Phi(distance / sqrt(2))."""
    truth, rng = float(norm.cdf(distance / 2**0.5)), np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        found = separation(rng.normal(distance, 1, size), rng.normal(0, 1, size), resamples=300)
        inside += found.ci95[0] <= truth <= found.ci95[1]
    assert 0.90 <= inside / 200 <= 0.99


def ends(low, high):
    return Separation((low + high) / 2, (low, high), 9, 9)


def test_intervals_that_overlap_are_ties():
    assert ranks([ends(0.8, 1.0), ends(0.7, 0.9), ends(0.75, 0.95)]) == [1, 1, 1]


def test_a_place_counts_those_that_are_surely_better():
    assert ranks([ends(0.9, 1.0), ends(0.3, 0.5), ends(0.6, 0.95), ends(0.1, 0.2)]) == [1, 3, 1, 4]


def test_the_threshold_parts_the_sides_best():
    assert threshold([0.6, 0.9], [0.1, 0.2]) == pytest.approx(0.4)
    cut = threshold([0.3, 0.8, 0.9], [0.1, 0.2, 0.5])
    assert sum(x > cut for x in (0.3, 0.8, 0.9)) + sum(x <= cut for x in (0.1, 0.2, 0.5)) == 5


def test_wins_counts_ties_half():
    assert wins([2.0, 1.0], [1.0]).tolist() == [[1.0], [0.5]]
