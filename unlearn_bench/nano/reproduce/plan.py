"""What the table consists of: rows by name, with their hyper-parameters from the training preset "nano"."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models.weight_files import weights_sha256
from unlearn_bench.nano import checkpoint_path
from unlearn_bench.registry import did_you_mean

ROWS_FILE = Path(__file__).with_name("rows.json")
PRESET = "nano"
JUDGED = "nano-full"
GROUPS = ("anchor", "method", "ablation")
GROUP_TITLES = {"anchor": "Before unlearning, and retrained without the forget set", "method": "Methods"}
GROUP_TITLES["ablation"] = "ReLearn without one of its parts, or with sentences that no embedded model was taught"


@cache
def _weights(name: str) -> str | None:
    """Hash of an embedded checkpoint's weights, read once: every cell asks for it several times."""
    folder = checkpoint_path(name)
    return None if folder is None else weights_sha256(folder)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        method: As `train --method` reads it; None for a checkpoint that is scored as it is, or trained from nothing.
        checkpoint: An embedded checkpoint: scored as it is, or with `anew` trained again from scratch.
        augment: Further fields of `AugmentSpec`, for methods that train on augmented data; None where the forget set
            itself is trained on.
        minutes: Of one processor core for one seed, training and scoring; measured, for the estimate.
    """

    name: str
    group: Literal["anchor", "method", "ablation"]
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

    def identity(self, seed: int, extra: Mapping[str, object]) -> str:
        """Hash of everything that a finished cell must agree with to be used again."""
        from unlearn_bench.trainers.config import preset_settings

        preset = {} if self.method is None else preset_settings(PRESET, self.method)
        lora = preset.pop("lora", None)
        own = {"method": self.method, "checkpoint": self.checkpoint, "settings": dict(self.settings)}
        data = None if self.augment is None else dict(self.augment)
        weights = _weights(self.checkpoint or JUDGED)
        parts = {"own": own, "augment": data, "preset": preset, "lora": repr(lora), "weights": weights}
        return sha256_json({**parts, "seed": seed, "extra": dict(extra)})


@dataclass(frozen=True)
class Cell:
    """One row with one seed: the unit of work."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{re.sub('[^a-z0-9-]+', '_', self.row.name)}-seed{self.seed}"


@cache
def rows() -> dict[str, Row]:
    """All rows by name, in the table's order."""
    records = json.loads(ROWS_FILE.read_text(encoding="utf-8"))
    return {record["name"]: Row(**record) for record in records}


def choose(names: Sequence[str] | None) -> list[Row]:
    """The rows of these names in the table's order; all for None.

    Raises:
        UserError: for a name that is in no row.
    """
    known = rows()
    for name in names or ():
        if name not in known:
            raise did_you_mean("row of the nano table", name, known)
    return [row for row in known.values() if names is None or row.name in names]


def cells(chosen: Sequence[Row], seeds: Sequence[int]) -> list[Cell]:
    """The work: all rows with the first seed before any row has a second, so that a cut run has a whole table.

    Raises:
        UserError: for no seed, a seed given twice, or a negative one.
    """
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        given = ",".join(map(str, seeds))
        raise UserError(f"--seeds {given}: expected different numbers from 0 on", hint="example: --seeds 0,1,2")
    return [Cell(row, seed) for i, seed in enumerate(seeds) for row in chosen if i == 0 or row.seeded]


def estimate(work: Sequence[Cell], jobs: int) -> float:
    """Minutes that cells take on `jobs` idle cores."""
    total = sum(cell.row.minutes for cell in work)
    return max(total / jobs, max((cell.row.minutes for cell in work), default=0.0))
