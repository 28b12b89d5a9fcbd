"""Benchmarks as rows. A file with a function `load` is a dataset; the file's name is its key.

`load(split, *, data_dir=None, revision=None) -> Dataset`, and `DEFAULTS`: role ("forget", "retain") to the split that
is trained on in that role where none is named. Rows come from the Hugging Face hub at a pinned revision, or
from `data_dir` (or the environment's UNLEARN_BENCH_DATA), a folder in the same format.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.registry import Registry, did_you_mean
from unlearn_bench.schema import DatasetInfo, Row

DATASETS = Registry(kind="dataset", package="unlearn_bench.data", attribute="load")
DATA_DIR_VARIABLE = "UNLEARN_BENCH_DATA"


@dataclass(frozen=True)
class Dataset:
    """The rows of one split.

    Attributes:
        revision: The hub's commit, or None for a folder or embedded data (then the hash of the rows is the identity).
        source: Where the rows came from, without a path of this machine ("hub:locuslab/TOFU", "folder", "embedded").
    """

    name: str
    split: str
    rows: list[Row]
    revision: str | None
    source: str

    def info(self) -> DatasetInfo:
        """What a result records: name, split, revision and the hash over the rows."""
        rows = [row.model_dump(mode="json", by_alias=True) for row in self.rows]
        return DatasetInfo(
            name=self.name, split=self.split, revision=self.revision, sha256=sha256_json(rows), source=self.source
        )


def load(name: str, split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load one split of a dataset by name.

    Raises:
        UserError: for an unknown name or split, data that cannot be had, or an empty split.
    """
    dataset = DATASETS.get(name)(split, data_dir=data_dir, revision=revision)
    if not dataset.rows:
        raise UserError(f"dataset {name}, split {split}: no rows", hint="an empty dataset cannot be scored")
    return dataset


def default_split(name: str, role: str) -> str:
    """The split of a dataset that is trained on in a role.

    Raises:
        UserError: for an unknown dataset, or one that declares none for the role.
    """
    if name not in DATASETS.names():
        raise did_you_mean("dataset", name, DATASETS.names())
    declared = getattr(DATASETS.module(name), "DEFAULTS", {})
    if role not in declared:
        raise UserError(f"dataset {name} declares no split to {role}", hint=f"name one: {name}:SPLIT")
    return declared[role]


def data_folder(name: str, data_dir: str | None) -> Path | None:
    """The folder of a dataset under `data_dir` or UNLEARN_BENCH_DATA; None if neither is set (then: the hub).

    Raises:
        UserError: if one is set and holds no such folder: a wrong path must not turn into a download.
    """
    given = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not given:
        return None
    folder = Path(given) / name
    origin = "--data-dir" if data_dir else DATA_DIR_VARIABLE
    if not Path(given).is_dir():
        raise UserError(f"{origin} {given} does not exist", hint="name the folder that holds tofu/, knowundo/, …")
    if not folder.is_dir():
        raise UserError(f"{origin} {given}: no folder {name!r} in it", hint=f"expected {folder}")
    return folder
