"""Seeded choices that are the same in every Python version and depend on a key alone.

`random.Random.random()` is documented to stay the same for a seed; `choice`, `sample` and `shuffle` are not. Everything
here is built on the former: the embedded corpus is made again byte for byte, and a row's augmented text does not change
with the rows around it.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class SeededRandom:
    """Draws that depend on the seed and on the key, not on what others have drawn.

    >>> SeededRandom(1, "a").below(10) == SeededRandom(1, "a").below(10)
    True
    """

    def __init__(self, seed: int, key: str) -> None:
        self._random = random.Random(f"{seed}/{key}")

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(self._random.random() * n)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def draw(self, items: Sequence[T], k: int | None = None) -> list[T]:
        """`k` different positions of `items` (None: all of them), in random order.

        Raises:
            ValueError: if there are fewer than k items.
        """
        k = len(items) if k is None else k
        if k > len(items):
            raise ValueError(f"{k} of {len(items)} items cannot be drawn")
        return self._permuted(items, k)[:k]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in random order. The last place takes no draw, unlike in `draw(items)`."""
        return self._permuted(items, len(items) - 1)

    def _permuted(self, items: Sequence[T], k: int) -> list[T]:
        """The items, of which the first `k` places have been drawn."""
        pool = list(items)
        for i in range(k):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool
