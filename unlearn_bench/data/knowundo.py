"""KnowUnDo, privacy subset (Tian et al., arXiv 2407.01920; hub: zjunlp/KnowUnDo, MIT).

Splits: forget (unlearn_val, 110 rows), retain (retention_val, 108), forget_train (unlearn_train, 400), retain_train
(retention_train, 441). Rows are {text, labels}. The data names no person, so rows have no cluster.

From the hub, the two configurations are one row each, which holds the lists `train` and `val`; public code that reads
them shows as much. Which commit to pin is not known to this project, so a hub run needs `revision`, and records it.
"""

from unlearn_bench.data._files import read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row

_NAMES = {"forget": "unlearn", "retain": "retention"}  # role to the name at the hub and in file names


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a KnowUnDo privacy split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `knowundo/privacy/<file>`; the hub otherwise.
        revision: The hub's commit.

    Raises:
        UserError: for missing data, no revision, or a malformed row (file and row are named).
    """
    role = DATASET.splits[split]
    name, part = _NAMES[role], "train" if split.endswith("_train") else "val"
    folder = data_folder("knowundo", data_dir)
    if folder:
        records, revision = list(read_records(folder / "privacy" / f"{name}_{part}.json")), None
    else:
        where = f"{DATASET.hub} {name} {part}"
        records = [(f"{where}:{n}", record) for n, record in enumerate(_from_hub(name, part, revision), start=1)]
    rows = [
        Row(
            id=f"{split}-{index}",
            split=role,
            question=text_field(record, "text", where),
            answer=text_field(record, "labels", where),
        )
        for index, (where, record) in enumerate(records)
    ]
    return Dataset("knowundo", split, rows, revision, "folder" if folder else f"hub:{DATASET.hub}")


def _from_hub(name: str, part: str, revision: str | None) -> list[dict[str, object]]:
    by_folder = "pass --data-dir DIR (or set UNLEARN_BENCH_DATA) with DIR/knowundo/privacy/*.json"
    if revision is None:
        raise UserError(
            "knowundo from the hub: no revision is pinned for it", hint=f"pass --data-revision COMMIT, or {by_folder}"
        )
    from datasets import load_dataset

    try:
        rows = load_dataset(DATASET.hub, name="privacy", split=name, revision=revision)
        return list(rows[part][0])
    except Exception as error:  # the hub client raises many unrelated classes; each means that it cannot be downloaded
        raise UserError(
            f"{DATASET.hub} cannot be downloaded from the hub: {type(error).__name__}", hint=by_folder
        ) from None


DATASET = Declaration(
    load=load,
    splits={"forget": "forget", "retain": "retain", "forget_train": "forget", "retain_train": "retain"},
    defaults={"forget": "forget_train", "retain": "retain_train"},  # what is trained on; scored are the _val files
    hub="zjunlp/KnowUnDo",
    licence="MIT",
)
