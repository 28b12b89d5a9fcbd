"""Root type-token ratio by hand."""

import pytest

from unlearn_bench.scorers.root_ttr import root_ttr


@pytest.mark.parametrize(("text", "value"), [("", 0.0), ("a b c d", 4 / 2), ("a a a a", 1 / 2)])
def test_by_hand(text: str, value: float) -> None:
    assert root_ttr(text) == value
