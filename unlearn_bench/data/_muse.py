"""MUSE's rows, of either corpus: see `muse_news` and `muse_books`."""

from collections.abc import Iterator
from pathlib import Path

from unlearn_bench.data._files import hub_records, json_records, local_file, read_text, text_field
from unlearn_bench.data.base import Dataset, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Role, Row

SPLITS: dict[str, tuple[Role, str, str]] = {
    "verbmem": ("forget", "verbmem", "forget"),
    "knowmem_forget": ("forget", "knowmem", "forget_qa"),
    "knowmem_retain": ("retain", "knowmem", "retain_qa"),
    "privleak_forget": ("forget", "privleak", "forget"),
    "privleak_retain": ("retain", "privleak", "retain"),
    "privleak_holdout": ("holdout", "privleak", "holdout"),
    "raw_forget": ("forget", "raw", "forget"),
    "raw_retain1": ("retain", "raw", "retain1"),
    "raw_retain2": ("retain", "raw", "retain2"),
    "raw_holdout": ("holdout", "raw", "holdout"),
}
"""Split to its role, the hub's configuration (a folder's name), and the split there (a file's name)."""
EXAMPLES = 10

Records = list[tuple[str, dict[str, object]]]


def load(corpus: str, split: str, hub: str | None, data_dir: str | None, revision: str | None) -> Dataset:
    """Load a split of a corpus.

    Args:
        corpus: "news" or "books".
        split: One of `SPLITS`.
        hub: The corpus's id at the hub.
        data_dir: A folder that holds `muse/<corpus>/<configuration>/<file>`; the hub otherwise.
        revision: The hub's commit.

    Raises:
        UserError: for missing data, no revision, or a malformed row (file and row are named).
    """
    folder = data_folder("muse", data_dir)
    revision = None if folder else revision

    def read(config: str, name: str) -> Records:
        if folder is None:
            return hub_records(hub, config, name, revision, by_folder=f"muse/{corpus}/{config}/{name}.json")
        return list(_objects(local_file(folder / corpus / config, name)))

    role, config, name = SPLITS[split]
    records = read(config, name)
    if config == "knowmem":
        shown = _shown(read(config, f"{name}_icl"), f"{corpus} {name}_icl")
        rows = [_question(record, where, f"{split}-{n}", role, shown) for n, (where, record) in enumerate(records)]
    else:
        rows = [_text(record, where, f"{split}-{n}", role) for n, (where, record) in enumerate(records)]
    return Dataset(f"muse_{corpus}", split, rows, revision, "folder" if folder else f"hub:{hub}")


def _objects(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The records of a file; a file of texts is read as records of `text`."""
    for where, value in json_records(read_text(path), path):
        record = {"text": value} if isinstance(value, str) else value
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object or a text, got {type(value).__name__}")
        yield where, record


def _shown(records: Records, where: str) -> str:
    if len(records) != EXAMPLES:
        raise UserError(f"muse {where}: {len(records)} examples, expected {EXAMPLES}")
    pairs = [(text_field(record, "question", at), text_field(record, "answer", at)) for at, record in records]
    return "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in pairs)


def _question(record: dict[str, object], where: str, name: str, role: Role, shown: str) -> Row:
    """A question behind the examples; the prompt ends with a space, as MUSE's does."""
    asked, answer = text_field(record, "question", where), text_field(record, "answer", where)
    return Row(id=name, role=role, question=f"{shown}Question: {asked}\nAnswer: ", answer=answer)


def _text(record: dict[str, object], where: str, name: str, role: Role) -> Row:
    """A text that is continued (prompt and what follows), or a text whose likelihood is taken."""
    if "prompt" in record:
        question, answer = text_field(record, "prompt", where), text_field(record, "gt", where)
        return Row(id=name, role=role, question=question, answer=answer)
    return Row(id=name, role=role, question="", answer=text_field(record, "text", where))
