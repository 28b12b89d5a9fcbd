"""What a dataset is: its rows, and what its file declares of it.

    DATASET = Declaration(load=load, splits={"forget10": "forget", …}, defaults={"forget": "forget10"}, …)

Written with literal values, a declaration can be read without importing the file, as `--help` does. No pydantic here.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from unlearn_bench.schema import DatasetInfo, Role, Row

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
    rows: "list[Row]"
    revision: str | None
    source: str

    def info(self) -> "DatasetInfo":
        """What a result records: name, split, revision and the hash over the rows."""
        from unlearn_bench.hashing import sha256_json
        from unlearn_bench.schema import DatasetInfo

        rows = [row.model_dump(mode="json", by_alias=True) for row in self.rows]
        return DatasetInfo(
            name=self.name, split=self.split, revision=self.revision, sha256=sha256_json(rows), source=self.source
        )


def embedded(name: str, split: str, rows: "Iterable[Row]", revision: str, asked: str | None) -> Dataset:
    """One split of a dataset that is part of the package: the rows of that role.

    Raises:
        UserError: if a revision other than the embedded one is asked for.
    """
    if asked not in (None, revision):
        raise UserError(f"{name}: revision {asked!r} was asked for, this package embeds {revision!r}")
    return Dataset(name, split, [row for row in rows if row.role == split], revision, "embedded")


@dataclass(frozen=True)
class Declaration:
    """A member of `unlearn_bench.data`.

    Attributes:
        load: `load(split, *, data_dir=None, revision=None) -> Dataset`; asked for declared splits only.
        splits: Split to the role of its rows.
        defaults: Role to the split that stands for it where none is named (`--dataset tofu`): what is trained on,
            augmented or held out.
        hub: The dataset's id at the Hugging Face hub; None for data that is not there.
        revision: The pinned commit, or the version of embedded rows; None where none is pinned.
        licence: Its SPDX identifier; NOASSERTION where its authors state none that this project has seen.

    Raises:
        ValueError: for a default that is not a split of that role.
    """

    load: Callable[..., Dataset]
    splits: "Mapping[str, Role]"
    defaults: "Mapping[Role, str]" = field(default_factory=dict)
    hub: str | None = None
    revision: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        for role, split in self.defaults.items():
            if self.splits.get(split) != role:
                raise ValueError(f"the default of role {role}, {split!r}, is not a split of that role")


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
