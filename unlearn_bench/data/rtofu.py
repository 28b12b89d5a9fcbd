"""R-TOFU: TOFU's forget questions for reasoning models, with the thinking to be forgotten (arXiv 2505.15214).

Splits: forget01, forget05, forget10. The model is asked in its own chat template, which opens the thinking; what it
thinks is split off the answer, and both are scored (`kfr_thinking`, `rougeL_recall_thinking`). The reference's own
thinking (`cot`) is not read.

A folder holds the files of the authors' repository, github.com/AI-ISL/R-TOFU: `rtofu/forget10.json`, lines of
{task_id, question, answer, cot}. It is not at the hub, and names no licence.
"""

from unlearn_bench.data._files import local_file, read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load an R-TOFU split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `rtofu/<split>.json`.
        revision: None: a folder has no revision.

    Raises:
        UserError: for missing data, or a malformed row (file and row are named).
    """
    del revision
    folder = data_folder("rtofu", data_dir)
    if folder is None:
        raise UserError(
            "rtofu is not at the hub",
            hint="clone github.com/AI-ISL/R-TOFU, and pass --data-dir DIR with DIR/rtofu/forget10.json",
        )
    rows = [
        Row(
            id=f"{split}-{index}",
            role="forget",
            question=text_field(record, "question", where),
            answer=text_field(record, "answer", where),
        )
        for index, (where, record) in enumerate(read_records(local_file(folder, split)))
    ]
    return Dataset("rtofu", split, rows, None, "folder")


DATASET = Declaration(
    load=load,
    splits={"forget01": "forget", "forget05": "forget", "forget10": "forget"},
    defaults={"forget": "forget10"},
    licence="NOASSERTION",
)
