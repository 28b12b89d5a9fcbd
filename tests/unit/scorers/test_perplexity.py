"""Perplexity from token likelihoods, and what an empty answer counts as."""

import math

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.scorers.perplexity import empty_perplexity, perplexity


def test_a_uniform_guess_among_k_tokens_has_perplexity_k() -> None:
    assert perplexity([math.log(50)] * 7) == pytest.approx(50)


def test_no_tokens_have_no_perplexity() -> None:
    with pytest.raises(ValueError, match="undefined"):
        perplexity([])


def test_an_empty_answer_is_never_better_than_what_was_said() -> None:
    assert empty_perplexity([3.0, 5000.0]) == 5000.0
    assert empty_perplexity([]) == 1000.0
    assert empty_perplexity([3.0], policy=200) == 200.0


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UserError, match="worst, drop or a number"):
        empty_perplexity([], policy="best")
