"""KnowUnDo: private persons, and copyrighted books (Tian et al., arXiv 2407.01920; hub: zjunlp/KnowUnDo, MIT).

Splits of the privacy subset: forget (unlearn_val, 110 rows), retain (retention_val, 108), forget_train (unlearn_train,
400), retain_train (retention_train, 441); of the copyright subset the same names with `copyright_` before them, in the
same layout. Rows are {text, labels}. The data names no person and no book, so rows have no cluster.

In a folder: `knowundo/privacy/unlearn_val.json`, … and `knowundo/copyright/unlearn_val.json`, ….

From the hub, the two configurations are one row each, which holds the lists `train` and `val`; public code that reads
them shows as much. Which commit to pin is not known to this project, so a hub run needs `revision`, and records it.
"""

from unlearn_bench.data._files import hub_records, objects, read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row

_NAMES = {"forget": "unlearn", "retain": "retention"}  # role to the name at the hub and in file names


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a KnowUnDo split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `knowundo/<subset>/<file>`; the hub otherwise.
        revision: The hub's commit.

    Raises:
        UserError: for missing data, no revision, or a malformed row (file and row are named).
    """
    role = DATASET.splits[split]
    subset = "copyright" if split.startswith("copyright_") else "privacy"
    name, part = _NAMES[role], "train" if split.endswith("_train") else "val"
    folder = data_folder("knowundo", data_dir)
    if folder:
        records, revision = list(read_records(folder / subset / f"{name}_{part}.json")), None
    else:
        records = _from_hub(subset, name, part, revision)
    rows = [
        Row(
            id=f"{split}-{index}",
            role=role,
            question=text_field(record, "text", where),
            answer=text_field(record, "labels", where),
        )
        for index, (where, record) in enumerate(records)
    ]
    return Dataset("knowundo", split, rows, revision, "folder" if folder else f"hub:{DATASET.hub}")


def _from_hub(subset: str, name: str, part: str, revision: str | None) -> list[tuple[str, dict[str, object]]]:
    whole = hub_records(DATASET.hub, subset, name, revision, by_folder=f"knowundo/{subset}/*.json")
    records = whole[0][1].get(part) if whole else None
    if not isinstance(records, list):
        raise UserError(f"{DATASET.hub} {subset} {name}: no list {part!r} in its first row")
    return list(objects((f"{DATASET.hub} {subset} {name} {part}:{n}", row) for n, row in enumerate(records, start=1)))


DATASET = Declaration(
    load=load,
    splits={
        "forget": "forget",
        "retain": "retain",
        "forget_train": "forget",
        "retain_train": "retain",
        "copyright_forget": "forget",
        "copyright_retain": "retain",
        "copyright_forget_train": "forget",
        "copyright_retain_train": "retain",
    },
    defaults={"forget": "forget_train", "retain": "retain_train"},  # what is trained on; scored are the _val files
    hub="zjunlp/KnowUnDo",
    licence="MIT",
)
