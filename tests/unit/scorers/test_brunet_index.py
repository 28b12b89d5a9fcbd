"""Brunet's index by hand."""

import pytest

from unlearn_bench.scorers.brunet_index import brunet_index


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Paris", 1.0),  # 1 ** 1
        ("Ann writes novels .", 4 ** (4**-0.165)),  # N = V = 4
        ("Ann writes, ann reads.", 6 ** (5**-0.165)),  # ann writes , ann reads . : N = 6, V = 5, in lower case
        ("", 1000.0),  # as in the paper's code
    ],
)
def test_by_hand(text: str, value: float) -> None:
    assert brunet_index(text) == pytest.approx(value, rel=1e-12)


def test_repetition_is_worse_than_variety() -> None:
    assert brunet_index("sea " * 40) > brunet_index(" ".join(f"word{i}" for i in range(40)))
