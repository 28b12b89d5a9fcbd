"""Seeded choices that depend on a key alone, so that a row's text does not change with the rows around it."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A stream of choices; built on `random()`, whose values are documented to stay the same for a seed.

    >>> Draw(1, "a").pick("xyz") == Draw(1, "a").pick("xyz")
    True
    """

    def __init__(self, seed: int, key: str) -> None:
        self._random = random.Random(f"{seed}/{key}")

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(self._random.random() * n)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in random order."""
        pool = list(items)
        for i in range(len(pool) - 1):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool
