"""nano: the embedded benchmark about fictitious people (`unlearn_bench/nano`, written by this project).

Splits: forget (128 rows), retain (416), neighbour (64), world (76), holdout (96), fluency (44). A row's cluster is the
person asked about; in `world` it is the category.
"""

import json
from functools import cache
from pathlib import Path

from unlearn_bench.data.base import Dataset, Declaration, embedded
from unlearn_bench.schema import Row

REVISION = "1"
_FILE = Path(__file__).parents[1] / "nano" / "corpus.jsonl"


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load one split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: Not used: the rows are part of the package.
        revision: None, or the one revision that this package embeds.

    Raises:
        UserError: for another revision.
    """
    del data_dir
    return embedded("nano", split, _rows(), REVISION, revision)


@cache
def _rows() -> tuple[Row, ...]:
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return tuple(Row.model_validate(json.loads(line)) for line in lines)


DATASET = Declaration(
    load=load,
    splits={
        "forget": "forget",
        "retain": "retain",
        "neighbour": "neighbour",
        "world": "world",
        "holdout": "holdout",
        "fluency": "fluency",
    },
    defaults={
        "forget": "forget",
        "retain": "retain",
        "neighbour": "neighbour",
        "world": "world",
        "holdout": "holdout",
        "fluency": "fluency",
    },
    revision=REVISION,
    licence="MIT",
)
