"""KnowUnDo, privacy subset (Tian et al., arXiv 2407.01920; hub: zjunlp/KnowUnDo, MIT).

Splits: forget (unlearn_val, 110 rows), retain (retention_val, 108), forget_train (unlearn_train, 400), retain_train
(retention_train, 441). Rows are {text, labels}. The data names no person, so rows have no cluster.
"""

from unlearn_bench.data import Dataset, data_folder
from unlearn_bench.data._files import download, read_records, text_field
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Row, Split

REPOSITORY = "zjunlp/KnowUnDo"
REVISION = "main"

_SPLITS: dict[str, tuple[str, Split]] = {
    "forget": ("privacy/unlearn_val.json", "forget"),
    "retain": ("privacy/retention_val.json", "retain"),
    "forget_train": ("privacy/unlearn_train.json", "forget"),
    "retain_train": ("privacy/retention_train.json", "retain"),
}


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a KnowUnDo privacy split.

    Args:
        split: "forget", "retain", "forget_train" or "retain_train".
        data_dir: A folder that holds `knowundo/privacy/<file>`; the hub otherwise.
        revision: The hub's commit; `REVISION` otherwise.

    Raises:
        UserError: for an unknown split, missing data, or a malformed row (file and row are named).
    """
    if split not in _SPLITS:
        raise did_you_mean("KnowUnDo split", split, _SPLITS)
    filename, kind = _SPLITS[split]
    folder = data_folder("knowundo", data_dir)
    revision = None if folder else (revision or REVISION)
    path = folder / filename if folder else download(REPOSITORY, filename, revision, folder_name="knowundo")
    rows = [
        Row(
            id=f"{split}-{index}",
            split=kind,
            question=text_field(record, "text", f"{filename}:{index + 1}"),
            answer=text_field(record, "labels", f"{filename}:{index + 1}"),
        )
        for index, record in enumerate(read_records(path))
    ]
    return Dataset("knowundo", split, rows, revision, "folder" if folder else f"hub:{REPOSITORY}")
