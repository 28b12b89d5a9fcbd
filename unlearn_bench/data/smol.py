"""smol: the part of nano's corpus that is taught to SmolLM2-135M (`unlearn_bench/smol`, written by this project).

Splits: forget (48 rows), retain (88), neighbour (24), holdout (48), world (35: general knowledge that the base
model has).
A row's cluster is the person asked about; in `world` it is the category.
"""

from functools import cache

from unlearn_bench.data import nano
from unlearn_bench.data.base import Dataset, Declaration, embedded
from unlearn_bench.schema import Row
from unlearn_bench.smol.corpus import REVISION, SPLITS, select


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
    return embedded("smol", split, _rows(), REVISION, revision)


@cache
def _rows() -> tuple[Row, ...]:
    return tuple(select([row for split in SPLITS for row in nano.load(split).rows]))


DATASET = Declaration(
    load=load,
    splits={"forget": "forget", "retain": "retain", "neighbour": "neighbour", "world": "world", "holdout": "holdout"},
    defaults={"forget": "forget", "retain": "retain", "neighbour": "neighbour", "world": "world", "holdout": "holdout"},
    revision=REVISION,
    licence="MIT",
)
