"""TOFU: 200 fictitious authors, 20 questions each (Maini et al., arXiv 2401.06121; hub: locuslab/TOFU, MIT).

Splits: forget01, forget05, forget10 (the `_perturbed` files: paraphrased question and answer, five wrong answers),
retain (the 400 rows of retain_perturbed), retain90/95/99 (training sets), real_authors, world_facts, and
holdout01/05/10 (as many rows as the forget set, about authors that no model was trained on).

Clusters: TOFU's rows are ordered by author, 20 in a row, so a row's cluster is `author-<row // 20>`; the 400 rows of
retain_perturbed are the first 400 of retain90, in its order. real_authors and world_facts name no cluster.
"""

from unlearn_bench.data._files import download, read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.schema import Role, Row

QUESTIONS_PER_AUTHOR = 20
_NOT_PERTURBED = ("retain90", "retain95", "retain99", "holdout01", "holdout05", "holdout10")
_BY_AUTHOR = ("forget", "retain", "holdout")  # roles whose rows are ordered by author


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a TOFU split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `tofu/<file>`; the hub otherwise.
        revision: The hub's commit; the declared one otherwise.

    Raises:
        UserError: for missing data, or a malformed row (file and row are named).
    """
    filename = f"{split}.json" if split in _NOT_PERTURBED else f"{split}_perturbed.json"
    folder = data_folder("tofu", data_dir)
    revision = None if folder else (revision or DATASET.revision)
    path = folder / filename if folder else download(DATASET.hub, filename, revision, folder_name="tofu")
    role = DATASET.splits[split]
    rows = [_row(record, index, split, role, where) for index, (where, record) in enumerate(read_records(path))]
    return Dataset("tofu", split, rows, revision, "folder" if folder else f"hub:{DATASET.hub}")


def _row(record: dict[str, object], index: int, split: str, role: Role, where: str) -> Row:
    return Row(
        id=f"{split}-{index}",
        split=role,
        question=text_field(record, "question", where),
        answer=text_field(record, "answer", where),
        cluster=f"author-{index // QUESTIONS_PER_AUTHOR}" if role in _BY_AUTHOR else None,
        paraphrased_question=record.get("paraphrased_question"),
        paraphrased_answer=record.get("paraphrased_answer"),
        perturbed_answers=record.get("perturbed_answer", []),
    )


DATASET = Declaration(
    load=load,
    splits={
        "forget01": "forget",
        "forget05": "forget",
        "forget10": "forget",
        "retain": "retain",
        "retain90": "retain",
        "retain95": "retain",
        "retain99": "retain",
        "real_authors": "neighbour",
        "world_facts": "world",
        "holdout01": "holdout",
        "holdout05": "holdout",
        "holdout10": "holdout",
    },
    defaults={
        "forget": "forget10",
        "retain": "retain90",
        "neighbour": "real_authors",
        "world": "world_facts",
        "holdout": "holdout10",
    },
    hub="locuslab/TOFU",
    revision="324592d84ae4f482ac7249b9285c2ecdb53e3a68",
    licence="MIT",
)
