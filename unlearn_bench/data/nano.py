"""nano: the embedded benchmark about fictitious people (`unlearn_bench/nano`, written by this project).

Splits: forget (128 rows), retain (416), neighbour (64), world (76), holdout (96), fluency (44). A row's cluster is the
person asked about; in `world` it is the category.
"""

import json
from functools import cache
from pathlib import Path

from unlearn_bench.data import Dataset
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Row

REVISION = "1"
DEFAULTS = {"forget": "forget", "retain": "retain"}
SPLITS = ("forget", "retain", "neighbour", "world", "holdout", "fluency")
_FILE = Path(__file__).parents[1] / "nano" / "corpus.jsonl"


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load one split.

    Args:
        split: One of `SPLITS`.
        data_dir: Not used: the rows are part of the package, whatever folder other benchmarks are read from.
        revision: None, or the one revision that this package embeds.

    Raises:
        UserError: for an unknown split or another revision.
    """
    del data_dir
    if split not in SPLITS:
        raise did_you_mean("nano split", split, SPLITS)
    if revision not in (None, REVISION):
        raise UserError(f"nano: revision {revision!r} was asked for, this package embeds {REVISION!r}")
    return Dataset("nano", split, [row for row in _rows() if row.role == split], REVISION, "embedded")


@cache
def _rows() -> tuple[Row, ...]:
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return tuple(Row.model_validate(json.loads(line)) for line in lines)
