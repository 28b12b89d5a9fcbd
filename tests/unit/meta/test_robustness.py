"""R and Q against values computed by hand from the published formulas."""

import math

import pytest

from unlearn_bench.meta.robustness import harmonic, mean_of, quantization, relearning


@pytest.mark.parametrize(
    ("unlearned", "oracle", "symmetric", "one_sided"),
    [
        ((0.1, 0.5), (0.0, 0.2), 1 - 0.2 / 0.6, 0.5),  # comes back twice as fast: a shallow method, or a fooled metric
        ((0.1, 0.3), (0.1, 0.3), 1.0, 1.0),  # as a model that never knew
        ((0.1, 0.2), (0.1, 0.5), 1 - 0.3 / 0.5, 1.0),  # slower: only the symmetric form minds
        ((0.3, 0.2), (0.1, 0.2), 0.0, 0.0),  # the two move apart
        ((0.2, 0.2), (0.1, 0.3), 0.0, None),  # it does not move at all
        ((0.2, 0.2), (0.4, 0.4), 1.0, None),
    ],
)
def test_relearning(unlearned, oracle, symmetric, one_sided):
    found = relearning(unlearned, oracle)
    assert found[0] == pytest.approx(symmetric)
    assert found[1] == (None if one_sided is None else pytest.approx(one_sided))


@pytest.mark.parametrize(
    ("before", "after", "symmetric", "one_sided"),
    [
        (0.4, 0.4, 1.0, 1.0),
        (0.1, 0.3, 0.5, 1.0),  # knowledge comes back: the one-sided form does not see it
        (0.4, 0.1, 1 - 0.3 / 0.5, 0.25),
        (0.0, 0.2, 0.0, None),
        (0.0, 0.0, 1.0, None),
        (0.5, 0.0, 0.0, 0.0),
    ],
)
def test_quantization(before, after, symmetric, one_sided):
    found = quantization(before, after)
    assert found[0] == pytest.approx(symmetric)
    assert found[1] == (None if one_sided is None else pytest.approx(one_sided))


def test_both_are_the_same_for_any_unit_of_the_metric():
    assert quantization(0.1, 0.3)[0] == pytest.approx(quantization(10, 30)[0])
    assert quantization(2.0, 5.0)[0] == pytest.approx(quantization(1 / 2, 1 / 5)[0])
    assert relearning((1, 4), (0, 1)) == pytest.approx(relearning((10, 40), (0, 10)))


def test_means_leave_out_what_is_undefined_and_count_it():
    found = mean_of([(1.0, None), (0.5, 0.5), (0.0, 0.0)])
    assert (found.symmetric, found.one_sided) == (pytest.approx(0.5), pytest.approx(0.25))
    assert (found.n, found.n_one_sided) == (3, 2)
    assert found.ci95[0] <= 0.5 <= found.ci95[1]
    assert mean_of([(0.7, None)]).ci95 is None


def test_the_harmonic_mean_is_that_of_the_published_table():
    """OpenUnlearning's and UDS's rows: R, Q and their harmonic mean."""
    assert harmonic([0.7703, 0.9700]) == pytest.approx(0.8587, abs=1e-4)
    assert harmonic([0.2025, 0.9342]) == pytest.approx(0.3329, abs=1e-4)
    assert harmonic([0.0, 0.9]) == 0.0
    assert harmonic([None, 0.9]) is None
    assert not math.isnan(harmonic([1e-9, 1.0]))
