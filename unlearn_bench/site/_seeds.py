"""Several seeds of one method: entries that say the same of how they were made, but for the seed.

Each checkpoint keeps its own row and rank, because that is what was measured. Next to them is the method: the best
of three seeds looks better than the method is, so the mean and the lowest and highest seed are shown, not the best.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from unlearn_bench.boards.board import Entry
from unlearn_bench.boards.ranking import Ranked
from unlearn_bench.hashing import canonical_json
from unlearn_bench.results import value_of

_SEED = re.compile(r"[\W_]+(?:seed|s)?[\W_]*\d+\W?$", re.IGNORECASE)  # "ga, seed 1", "ga-s1", "ga (1)"


@dataclass(frozen=True)
class Method:
    """A method with the rows of all its seeds, in the order of their seeds."""

    name: str
    rows: list[Ranked]

    @property
    def rank(self) -> str:
        """The rank as shown: that of the only row, or of the best and the worst seed."""
        if len(self.rows) == 1:
            return self.rows[0].label
        found = sorted((row.rank or 0, row.label) for row in self.rows)
        return found[0][1] if found[0][0] == found[-1][0] else f"{found[0][0]} to {found[-1][0]}"

    def spread(self, key: str) -> tuple[float, float, float] | None:
        """Mean, lowest and highest seed of a metric; None where a seed has no value, as a mean would flatter."""
        values = [value_of(row.entry.result, key) for row in self.rows]
        if any(value is None for value in values):
            return None
        return mean(values), min(values), max(values)


def methods(ranked: Sequence[Ranked]) -> list[Method]:
    """Every row in its method, better methods first: by the mean place of their seeds; anchors last."""
    groups: dict[str, list[tuple[int, Ranked]]] = {}
    for place, row in enumerate(ranked):
        groups.setdefault(_key(row), []).append((place, row))
    ordered = sorted(groups.values(), key=lambda group: (group[0][1].rank is None, mean(p for p, _ in group)))
    return [_method([row for _, row in group]) for group in ordered]


def _key(row: Ranked) -> str:
    training = row.entry.training
    if row.anchor or training is None or training.method is None or training.seed is None:
        return row.entry.name
    return canonical_json([row.entry.submitter, training.model_dump(exclude={"seed"})])


def _method(rows: list[Ranked]) -> Method:
    if len(rows) == 1:
        return Method(rows[0].entry.name, rows)
    rows = sorted(rows, key=lambda row: _seed(row.entry))
    names = {_SEED.sub("", row.entry.name) for row in rows}
    return Method(names.pop() if len(names) == 1 else rows[0].entry.training.method, rows)


def _seed(entry: Entry) -> tuple[int, str]:
    return entry.training.seed, entry.name


def several(found: Sequence[Method]) -> list[Method]:
    """The methods of which there is more than one seed."""
    return [method for method in found if len(method.rows) > 1]
