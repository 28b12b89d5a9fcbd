"""TOFU: 200 fictitious authors, 20 questions each (Maini et al., arXiv 2401.06121; hub: locuslab/TOFU, MIT).

Splits: forget01, forget05, forget10 (the `_perturbed` files: paraphrased question and answer, five wrong answers),
retain (the 400 rows of retain_perturbed), retain90/95/99 (training sets), real_authors, world_facts.

Clusters: TOFU's rows are ordered by author, 20 in a row, so a row's cluster is `author-<row // 20>`; the 400 rows of
retain_perturbed are the first 400 of retain90, in its order. real_authors and world_facts name no cluster.
"""

from unlearn_bench.data import Dataset, data_folder
from unlearn_bench.data._files import download, read_records, text_field
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role, Row

REPOSITORY = "locuslab/TOFU"
REVISION = "324592d84ae4f482ac7249b9285c2ecdb53e3a68"
QUESTIONS_PER_AUTHOR = 20
DEFAULTS = {"forget": "forget10", "retain": "retain90"}

# split -> (file, kind of split, rows ordered by author)
_SPLITS: dict[str, tuple[str, Role, bool]] = {
    "forget01": ("forget01_perturbed.json", "forget", True),
    "forget05": ("forget05_perturbed.json", "forget", True),
    "forget10": ("forget10_perturbed.json", "forget", True),
    "retain": ("retain_perturbed.json", "retain", True),
    "retain90": ("retain90.json", "retain", True),
    "retain95": ("retain95.json", "retain", True),
    "retain99": ("retain99.json", "retain", True),
    "real_authors": ("real_authors_perturbed.json", "neighbour", False),
    "world_facts": ("world_facts_perturbed.json", "world", False),
}


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a TOFU split.

    Args:
        split: "forget01", "forget05", "forget10", "retain", "retain90", "retain95", "retain99", "real_authors" or
            "world_facts".
        data_dir: A folder that holds `tofu/<file>`; the hub otherwise.
        revision: The hub's commit; `REVISION` otherwise.

    Raises:
        UserError: for an unknown split, missing data, or a malformed row (file and row are named).
    """
    if split not in _SPLITS:
        raise did_you_mean("TOFU split", split, _SPLITS)
    filename, kind, by_author = _SPLITS[split]
    folder = data_folder("tofu", data_dir)
    revision = None if folder else (revision or REVISION)
    path = folder / filename if folder else download(REPOSITORY, filename, revision, folder_name="tofu")
    records = read_records(path)
    rows = [
        _row(record, index, split, kind, by_author, f"{path.name}:{index + 1}") for index, record in enumerate(records)
    ]
    return Dataset("tofu", split, rows, revision, "folder" if folder else f"hub:{REPOSITORY}")


def _row(record: dict[str, object], index: int, split: str, kind: Role, by_author: bool, where: str) -> Row:
    return Row(
        id=f"{split}-{index}",
        split=kind,
        question=text_field(record, "question", where),
        answer=text_field(record, "answer", where),
        cluster=f"author-{index // QUESTIONS_PER_AUTHOR}" if by_author else None,
        paraphrased_question=record.get("paraphrased_question"),
        paraphrased_answer=record.get("paraphrased_answer"),
        perturbed_answers=record.get("perturbed_answer", []),
    )
