"""A study: a corpus, the model that was taught it, and what the table of unlearning methods on it consists of."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from unlearn_bench.registry import did_you_mean

Group = Literal["anchor", "method", "ablation", "strong"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        method: As `train --method` reads it; None for a checkpoint that is scored as it is, or trained from nothing.
        checkpoint: A checkpoint that comes with the package: scored as it is, or with `anew` trained again.
        augment: Further fields of `AugmentSpec`, for methods that train on augmented data; None where the forget set
            itself is trained on.
        settings: Fields of a training's configuration, over those of the preset.
        minutes: Of one processor core for one seed, training and scoring; measured, for the estimate.
    """

    name: str
    group: Group
    minutes: float
    method: str | None = None
    checkpoint: str | None = None
    anew: bool = False
    augment: Mapping[str, object] | None = None
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def seeded(self) -> bool:
        """Whether another seed makes another model; a committed checkpoint is scored once."""
        return self.checkpoint is None or self.anew


@dataclass(frozen=True)
class Column:
    """A number of the table.

    Attributes:
        metric: Its key in a cell's metrics, or "minutes".
        placed: Whether the table also shows where it lies between original and oracle.
        inside: Whether it stands with the likelihoods and the second judge, apart from the scores of the answers.
    """

    key: str
    title: str
    metric: str
    digits: int = 2
    top: float | None = 1.0
    placed: bool = False
    inside: bool = False


@dataclass(frozen=True)
class Part:
    """What is asked where asking costs much: the first `most` questions of each task, None for all."""

    tasks: tuple[str, ...]
    most: int | None = None

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return {"tasks": list(self.tasks), "most": self.most}

    def cut(self, limit: int | None) -> int | None:
        """How many of each task, where no more than `limit` are wanted."""
        return min((n for n in (self.most, limit) if n is not None), default=None)


@dataclass(frozen=True, eq=False)
class Study:
    """What differs between the tables.

    Attributes:
        name: Of the dataset, of its tasks and of the training preset.
        model: The checkpoint that unlearns.
        oracle: The checkpoint that was taught the same without the forget set.
        about: What the table is of, for its title.
        rows_file: The rows, with the fields of `Row`, in the table's order.
        groups: Group to its title.
        tasks: What each checkpoint is asked.
        columns: What the table shows of that; `kfr`, `krr` and `fluency_forget` are drawn.
        batch_size: Questions at a time.
        weights: Name of a checkpoint to the hash of its weights; None for an unknown name.
        anew: Trains a checkpoint again: (its name, seed, folder, most steps or None).
        store: Called with the folder of each trained checkpoint, to store it as those of the package are.
        entry_names: Row to the name of its leaderboard entry, where they differ.
        anchored: Whether each cell is placed between original and oracle, and held against the oracle's answers.
        stressed: What a row's first seed is asked under stress.
        looked_at: The questions at which diagnostics look inside a row's first seed.
        judged_again: The answers of a row's first seed that a second judge reads.
        second_judge: Name of that judge: a packaged perplexity model.
        aliases: The tasks that earlier versions asked, with the question sets whose answers they took: a cell made by
            them is shown with what it has.
    """

    name: str
    model: str
    oracle: str
    about: str
    rows_file: Path
    groups: Mapping[Group, str]
    tasks: tuple[str, ...]
    columns: tuple[Column, ...]
    batch_size: int
    weights: Callable[[str], str | None]
    anew: Callable[[str, int, Path, int | None], None]
    store: Callable[[Path], None]
    stressed: Part
    looked_at: Part
    entry_names: Mapping[str, str] = field(default_factory=dict)
    anchored: bool = False
    second_judge: str | None = None
    judged_again: Part = Part(())
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchors(self) -> dict[str, str]:
        """The checkpoints between which a cell is placed."""
        return {"original": self.model, "oracle": self.oracle}

    @property
    def rows(self) -> dict[str, Row]:
        """All rows by name, in the table's order."""
        return _rows(self.rows_file)

    def row(self, name: str) -> Row:
        """The row of a name.

        Raises:
            UserError: for a name that is in no row.
        """
        if name not in self.rows:
            raise did_you_mean(f"row of the {self.name} table", name, self.rows)
        return self.rows[name]


@cache
def _rows(path: Path) -> dict[str, Row]:
    records = json.loads(path.read_text(encoding="utf-8"))
    return {record["name"]: Row(**record) for record in records}
