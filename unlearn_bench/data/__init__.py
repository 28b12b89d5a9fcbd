"""Benchmarks as rows. A file that defines `DATASET` is a dataset, its name is the key; `base.py` says what it declares.

Rows come from the Hugging Face hub at a pinned revision, or from `data_dir` (or the environment's UNLEARN_BENCH_DATA),
a folder in the same format.
"""

from unlearn_bench.data.base import DATA_DIR_VARIABLE, Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.registry import Registry, did_you_mean

DATASETS = Registry(kind="dataset", package="unlearn_bench.data", attribute="DATASET")

__all__ = [
    "DATASETS",
    "DATA_DIR_VARIABLE",
    "Dataset",
    "Declaration",
    "asked_split",
    "data_folder",
    "default_split",
    "hub_id",
    "load",
    "splits_of",
]


def load(name: str, split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load one split of a dataset.

    Args:
        name: One of `DATASETS.names()`.
        split: One that the dataset declares.
        data_dir: A folder that holds the dataset's folder, in place of the hub; embedded rows need none.
        revision: The hub's commit, in place of the declared one.

    Raises:
        UserError: for an unknown name or split, rows that cannot be read or downloaded, or an empty split.
    """
    declared = DATASETS.get(name)
    if split not in declared.splits:
        raise did_you_mean(f"{name} split", split, declared.splits)
    dataset = declared.load(split, data_dir=data_dir, revision=revision)
    if not dataset.rows:
        raise UserError(f"dataset {name}, split {split}: no rows", hint="an empty dataset cannot be scored")
    return dataset


def default_split(name: str, role: str) -> str:
    """The default split of a role of a dataset.

    Raises:
        UserError: for an unknown dataset, or one that declares none for the role.
    """
    declared = DATASETS.get(name)
    if role not in declared.defaults:
        of_role = [split for split, theirs in declared.splits.items() if theirs == role]
        raise UserError(
            f"dataset {name} declares no {role} set",
            hint=f"name a split: {name}:{of_role[0]}" if of_role else f"its splits: {', '.join(declared.splits)}",
        )
    return declared.defaults[role]


def splits_of(name: str, role: str) -> list[str]:
    """The splits of a dataset whose rows have a role; none for a dataset that is not known."""
    if name not in DATASETS.names():
        return []
    return [split for split, theirs in DATASETS.get(name).splits.items() if theirs == role]


def asked_split(name: str, split: str, forget_split: str | None) -> str:
    """The split that a task asks: `forget_split` in place of another forget split, and the holdout split that fits it.

    >>> asked_split("tofu", "forget10", "forget01"), asked_split("tofu", "retain", "forget01")
    ('forget01', 'retain')
    >>> asked_split("tofu", "holdout10", "forget01")
    'holdout01'
    """
    chosen, holdout = splits_of(name, "forget"), splits_of(name, "holdout")
    if forget_split not in chosen:
        return split
    beside = str(forget_split).replace("forget", "holdout")
    if split in holdout and beside in holdout:
        return beside
    return forget_split if split in chosen else split


def hub_id(name: str) -> str | None:
    """A dataset's id at the Hugging Face hub; None where it is not there, or the dataset is not known."""
    return DATASETS.get(name).hub if name in DATASETS.names() else None
