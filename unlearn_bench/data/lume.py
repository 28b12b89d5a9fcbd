"""LUME: novels, made-up biographies and Wikipedia biographies to be forgotten (Ramakrishna et al., arXiv 2502.15097).

The data of SemEval-2025 task 4. Splits: forget_completion and retain_completion (a text is continued), forget_qa and
retain_qa (short questions), forget and retain (both). `Row.kind` is sub-task and form ("Task1 qa"): Task1 (novels),
Task2 (biographies with phone numbers and the like), Task3 (Wikipedia). A row's cluster is its document.

mia_member and mia_nonmember are the documents of the membership attack (`answer` is the text, nothing is asked).

A folder holds the files of the authors' repository, github.com/amazon-science/lume-llm-unlearning (Apache-2.0; commit
b2fa8f9 was read): `lume/forget.jsonl`, `lume/retain.jsonl`, lines of {id, input, output, task}; and, where they are
there, `lume/member.jsonl` and `lume/nonmember.jsonl`, lines of {id, document}. It is not at the hub.
"""

import re

from unlearn_bench.data._files import local_file, read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Role, Row

TASKS = ("Task1", "Task2", "Task3")
_FORMS = {"sc": "completion", "qa": "qa"}  # what ids end with, before a number
_ID = re.compile(r'"?(?P<document>.+?)"?(?P<form>sc|qa)(?P<number>\d+)')


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a LUME split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `lume/<file>`.
        revision: None: a folder has no revision.

    Raises:
        UserError: for missing data, or a malformed row (file and row are named).
    """
    del revision
    folder, role = data_folder("lume", data_dir), DATASET.splits[split]
    if folder is None:
        raise UserError(
            "lume is not at the hub",
            hint="clone github.com/amazon-science/lume-llm-unlearning, and pass --data-dir DIR with DIR/lume/*.jsonl",
        )
    if split.startswith("mia_"):
        rows = [
            _document(record, where, f"{split}-{index}", role)
            for index, (where, record) in enumerate(read_records(local_file(folder, split.removeprefix("mia_"))))
        ]
    else:
        whole, _, form = split.partition("_")
        made = [_row(record, where, whole, role) for where, record in read_records(local_file(folder, whole))]
        rows = [row for row, its in made if not form or its == form]
    return Dataset("lume", split, rows, None, "folder")


def _row(record: dict[str, object], where: str, split: str, role: Role) -> tuple[Row, str]:
    """A row, and its form."""
    name, task = text_field(record, "id", where), text_field(record, "task", where)
    found = _ID.fullmatch(name)
    if found is None:
        raise UserError(f"{where}: 'id' must end with sc or qa and a number, got {name!r:.60}")
    if task not in TASKS:
        raise UserError(f"{where}: 'task' must be one of {', '.join(TASKS)}, got {task!r:.60}")
    form = _FORMS[found["form"]]
    row = Row(
        id=f"{split}-{task}-{found['document']}-{found['form']}{found['number']}",
        role=role,
        question=text_field(record, "input", where),
        answer=text_field(record, "output", where),
        cluster=found["document"],
        kind=f"{task} {form}",
    )
    return row, form


def _document(record: dict[str, object], where: str, name: str, role: Role) -> Row:
    return Row(id=name, role=role, question="", answer=text_field(record, "document", where))


DATASET = Declaration(
    load=load,
    splits={
        "forget": "forget",
        "retain": "retain",
        "forget_completion": "forget",
        "forget_qa": "forget",
        "retain_completion": "retain",
        "retain_qa": "retain",
        "mia_member": "forget",
        "mia_nonmember": "holdout",
    },
    defaults={"forget": "forget", "retain": "retain", "holdout": "mia_nonmember"},
    licence="Apache-2.0",
)
