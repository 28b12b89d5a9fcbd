"""Where the sensitive pairs and the generic pairs come from: a data set by name, or a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from unlearn_bench.augment.rows import Source
from unlearn_bench.data import DATASETS, load
from unlearn_bench.data._files import read_records
from unlearn_bench.errors import UserError

DEFAULT_SPLIT: Mapping[str, str] = {"nano": "forget", "tofu": "forget10", "knowundo": "forget_train"}
QUESTION = ("question", "text", "query", "instruction", "input", "prompt")
ANSWER = ("answer", "labels", "label", "response", "output", "ground_truth")
GENERIC_FILE = Path(__file__).parent / "data" / "generic.jsonl"


def read_sources(
    dataset: str, *, split: str | None = None, data_dir: str | None = None, revision: str | None = None
) -> list[Source]:
    """The pairs of a data set or file.

    Args:
        dataset: A data set's name, or a file (a JSON array or JSON lines of question-answer pairs).
        split: Of a data set; the one to be forgotten by default.
        data_dir: A folder with the data sets, in place of the hub.
        revision: The hub's commit.

    Raises:
        UserError: if there is neither, or rows are no pairs (file and row are named).
    """
    path = Path(dataset).expanduser()
    if dataset not in DATASETS.names():
        if path.is_file():
            return _from_file(path)
        names = ", ".join(DATASETS.names())
        raise UserError(f"--dataset {dataset}: no such data set or file", hint=f"data sets: {names}; or a JSONL file")
    split = split or DEFAULT_SPLIT.get(dataset)
    if split is None:
        raise UserError(f"--dataset {dataset} has no default split", hint="name one with --split")
    rows = load(dataset, split, data_dir=data_dir, revision=revision).rows
    return [
        Source(
            row.id,
            row.question,
            row.answer,
            (row.paraphrased_question,) if row.paraphrased_question else (),
            row.cluster,
        )
        for row in rows
    ]


def _from_file(path: Path) -> list[Source]:
    sources: list[Source] = []
    seen: set[str] = set()
    for number, record in enumerate(read_records(path), start=1):
        where = f"{path}: record {number}"
        identity = str(record.get("id", number))
        if identity in seen:
            raise UserError(
                f"{where}: the id {identity!r} occurs twice", hint="ids must differ; without ids rows are numbered"
            )
        seen.add(identity)
        asked = record.get("paraphrased_question")
        forbidden = (asked,) if isinstance(asked, str) else ()
        sources.append(Source(identity, _text(record, QUESTION, where), _text(record, ANSWER, where), forbidden))
    if not sources:
        raise UserError(f"{path}: no rows in it")
    return sources


def _text(record: Mapping[str, object], names: Sequence[str], where: str) -> str:
    key = next((name for name in names if name in record), None)
    if key is None:
        raise UserError(f"{where}: no {names[0]!r} (found: {', '.join(map(str, record)) or 'nothing'})")
    value = record[key]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {key!r} must be a non-empty text, got {value!r:.60}")
    return value


def read_generic(path: Path = GENERIC_FILE) -> list[tuple[str, str]]:
    """Question-answer pairs of a file: the built-in ones, or the user's.

    A record may have several `questions` for its `answer`; each makes a pair.

    Raises:
        UserError: if rows are no pairs.
    """
    pairs = []
    for number, record in enumerate(read_records(path), start=1):
        where = f"{path}: record {number}"
        several = record.get("questions")
        questions = several if isinstance(several, list) else [_text(record, QUESTION, where)]
        pairs += [(str(question), _text(record, ANSWER, where)) for question in questions]
    if not pairs:
        raise UserError(f"{path}: no rows in it")
    return pairs
