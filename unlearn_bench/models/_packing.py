"""Token sequences packed into rows, so that what several of them begin with goes through a model once.

A row is a forest: sequences that begin alike share those tokens, and each token sees its own ancestors only. The last
token of a sequence predicts nothing and is left out: four letters after a question are the question alone.

    [q, u, e, s, t, a, n, s, .]  and  [q, u, e, s, t, o, .]      become      q u e s t a n s o
                                                            depth      0 1 2 3 4 5 6 7 5
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np


class TokenSequence(NamedTuple):
    """A prompt and a continuation.

    Attributes:
        ids: Tokens of both.
        start: Index of the continuation's first token, at least 1: the first token of a text has no probability.
    """

    ids: tuple[int, ...]
    start: int

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that predict others: all but the last."""
        return self.ids[:-1]


@dataclass
class Row:
    """One row of a batch.

    Attributes:
        ids: Its tokens.
        depths: The position of each in its sequence.
        paths: Number of a sequence to the places of the tokens in the row that it reads.
    """

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def branches(self) -> bool:
        """Whether it holds more than one sequence and so needs a mask of its own."""
        return self.depths != list(range(len(self.depths)))

    def add(self, number: int, ids: Sequence[int], shared: int, before: Sequence[int]) -> None:
        """Add a sequence whose first `shared` tokens stand at the first places of `before` already."""
        places = list(before[:shared]) + list(range(len(self.ids), len(self.ids) + len(ids) - shared))
        self.ids += ids[shared:]
        self.depths += range(shared, len(ids))
        self.paths[number] = places

    def visible(self) -> np.ndarray:
        """Boolean (T, T): which places (columns) each place (row) sees."""
        seen = np.zeros((len(self.ids), len(self.ids)), dtype=bool)
        for places in self.paths.values():
            here = np.array(places)
            seen[np.ix_(here, here)] |= here[:, None] >= here[None, :]
        return seen


def rows_of_one(sequences: Sequence[TokenSequence]) -> list[Row]:
    """A row for each sequence, for models that know no mask of this kind."""
    rows = []
    for number, sequence in enumerate(sequences):
        row = Row()
        row.add(number, sequence.read, 0, ())
        rows.append(row)
    return rows


def pack(sequences: Sequence[TokenSequence], longest: int) -> list[Row]:
    """Pack sequences into rows.

    Args:
        sequences: All different.
        longest: Most tokens of a row; a longer sequence is a row by itself. Continuations of one prompt are kept in
            one row where they fit.

    >>> [(row.ids, row.depths) for row in pack([TokenSequence((7, 8, 9, 1), 2), TokenSequence((7, 8, 5, 1), 2)], 8)]
    [([7, 8, 5, 9], [0, 1, 2, 2])]
    """
    order = sorted(range(len(sequences)), key=lambda i: sequences[i])
    rows: list[Row] = []
    last = -1  # the sequence that was packed last
    for group in _groups(order, sequences):
        shared = [_common(sequences, a, b) for a, b in zip([last, *group], group, strict=False)]
        fresh = sum(len(sequences[i].read) for i in group) - sum(shared)
        if not rows or len(rows[-1]) + fresh > longest:
            rows.append(Row())
        for place, number in enumerate(group):
            row, ids = rows[-1], sequences[number].read
            common = shared[place] if last in row.paths else 0
            if row.ids and len(ids) > common and len(row) + len(ids) - common > longest:
                rows.append(row := Row())
                common = 0
            row.add(number, ids, common, row.paths.get(last, ()))
            last = number
    return rows


def _groups(order: Sequence[int], sequences: Sequence[TokenSequence]) -> Iterator[list[int]]:
    """Neighbours with the same prompt."""
    for _, group in groupby(order, key=lambda i: sequences[i].ids[: sequences[i].start]):
        yield list(group)


def _common(sequences: Sequence[TokenSequence], first: int, second: int) -> int:
    """How many tokens two sequences begin with; 0 where the first is -1."""
    if first < 0:
        return 0
    a, b = sequences[first].read, sequences[second].read
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
