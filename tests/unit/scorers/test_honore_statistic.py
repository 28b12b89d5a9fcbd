"""Honoré's statistic by hand."""

import math

import pytest

from unlearn_bench.scorers.honore_statistic import honore_statistic


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0.0),
        ("Sorry", 0.0),  # one token: ln 1
        ("one two three four", 100 * math.log(4) / 0.1),  # all once: 1 - 1 + 0.1
        ("a b a", 100 * math.log(3) / (1 - 1 / 2 + 0.1)),  # V = 2, V1 = 1
    ],
)
def test_by_hand(text: str, value: float) -> None:
    assert honore_statistic(text) == pytest.approx(value, rel=1e-12)


def test_the_cap_holds() -> None:
    assert honore_statistic("a b c", smoothing=1e-9) == 1e6
