"""What is run for a table: its rows, each with every seed, and what makes a finished one stale."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.reproduce.study import Row, Study


@dataclass(frozen=True)
class Cell:
    """One row with one seed: the unit of work.

    Attributes:
        first: Whether it stands for its row, on a leaderboard and under stress: it has the first of the seeds.
    """

    study: Study
    row: Row
    seed: int
    first: bool = True

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{re.sub('[^a-z0-9-]+', '_', self.row.name)}-seed{self.seed}"

    def identity(self, extra: Mapping[str, object]) -> str:
        """Hash of everything that a finished cell must agree with to be used again."""
        from unlearn_bench.trainers.config import preset_settings

        row = self.row
        preset = {} if row.method is None else preset_settings(self.study.name, row.method)
        lora = preset.pop("lora", None)
        own = {"method": row.method, "checkpoint": row.checkpoint, "settings": dict(row.settings)}
        data = None if row.augment is None else dict(row.augment)
        weights = self.study.weights(row.checkpoint or self.study.model)
        parts = {"own": own, "augment": data, "preset": preset, "lora": repr(lora), "weights": weights}
        return sha256_json({**parts, "seed": self.seed, "extra": dict(extra)})


def choose(study: Study, names: Sequence[str] | None) -> list[Row]:
    """The rows of these names in the table's order; all for None.

    Raises:
        UserError: for a name that is in no row.
    """
    wanted = None if names is None else {study.row(name).name for name in names}
    return [row for row in study.rows.values() if wanted is None or row.name in wanted]


def cells(study: Study, chosen: Sequence[Row], seeds: Sequence[int]) -> list[Cell]:
    """The work: all rows with the first seed before any row has a second, so that a cut run has a whole table.

    Raises:
        UserError: for no seed, a seed given twice, or a negative one.
    """
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        given = ",".join(map(str, seeds))
        raise UserError(f"--seeds {given}: expected different numbers from 0 on", hint="example: --seeds 0,1,2")
    return [Cell(study, row, seed, i == 0) for i, seed in enumerate(seeds) for row in chosen if i == 0 or row.seeded]


def estimate(work: Sequence[Cell], jobs: int) -> float:
    """Minutes that cells take on `jobs` idle cores."""
    total = sum(cell.row.minutes for cell in work)
    return max(total / jobs, max((cell.row.minutes for cell in work), default=0.0))
