"""What an empty answer counts as."""

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.scorers.perplexity import empty_perplexity


def test_an_empty_answer_is_never_better_than_what_was_said() -> None:
    assert empty_perplexity([3.0, 5000.0]) == 5000.0
    assert empty_perplexity([]) == 1000.0
    assert empty_perplexity([3.0], policy=200) == 200.0


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UserError, match="worst, drop or a number"):
        empty_perplexity([], policy="best")
