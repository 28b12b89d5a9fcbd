"""KnowUnDo, privacy subset (Tian et al., arXiv 2407.01920; hub: zjunlp/KnowUnDo, MIT).

Splits: forget (unlearn_val, 110 rows), retain (retention_val, 108), forget_train (unlearn_train, 400), retain_train
(retention_train, 441). Rows are {text, labels}. The data names no person, so rows have no cluster.

From the hub, the two configurations are one row each, which holds the lists `train` and `val`; public code that reads
them shows as much. Which commit to pin is not known to this project, so a hub run needs `revision`, and records it.
"""

from unlearn_bench.data import Dataset, data_folder
from unlearn_bench.data._files import read_records, text_field
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role, Row

REPOSITORY = "zjunlp/KnowUnDo"
DEFAULTS = {"forget": "forget_train", "retain": "retain_train"}  # what is trained on; scored are the _val files

# split -> (name in the hub and in file names, part, kind of split)
_SPLITS: dict[str, tuple[str, str, Role]] = {
    "forget": ("unlearn", "val", "forget"),
    "retain": ("retention", "val", "retain"),
    "forget_train": ("unlearn", "train", "forget"),
    "retain_train": ("retention", "train", "retain"),
}


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a KnowUnDo privacy split.

    Args:
        split: "forget", "retain", "forget_train" or "retain_train".
        data_dir: A folder that holds `knowundo/privacy/<file>`; the hub otherwise.
        revision: The hub's commit.

    Raises:
        UserError: for an unknown split, missing data, or a malformed row (file and row are named).
    """
    if split not in _SPLITS:
        raise did_you_mean("KnowUnDo split", split, _SPLITS)
    name, part, kind = _SPLITS[split]
    folder = data_folder("knowundo", data_dir)
    if folder:
        records, where, revision = read_records(folder / "privacy" / f"{name}_{part}.json"), f"{name}_{part}.json", None
    else:
        records, where = _from_hub(name, part, revision), f"{REPOSITORY} {name} {part}"
    rows = [
        Row(
            id=f"{split}-{index}",
            split=kind,
            question=text_field(record, "text", f"{where}:{index + 1}"),
            answer=text_field(record, "labels", f"{where}:{index + 1}"),
        )
        for index, record in enumerate(records)
    ]
    return Dataset("knowundo", split, rows, revision, "folder" if folder else f"hub:{REPOSITORY}")


def _from_hub(name: str, part: str, revision: str | None) -> list[dict[str, object]]:
    by_folder = "pass --data-dir DIR (or set UNLEARN_BENCH_DATA) with DIR/knowundo/privacy/*.json"
    if revision is None:
        raise UserError(
            "knowundo from the hub: no revision is pinned for it", hint=f"pass --data-revision COMMIT, or {by_folder}"
        )
    from datasets import load_dataset

    try:
        rows = load_dataset(REPOSITORY, name="privacy", split=name, revision=revision)
        return list(rows[part][0])
    except Exception as error:  # the hub client raises many unrelated classes; each means that it cannot be downloaded
        raise UserError(
            f"{REPOSITORY} cannot be downloaded from the hub: {type(error).__name__}", hint=by_folder
        ) from None
