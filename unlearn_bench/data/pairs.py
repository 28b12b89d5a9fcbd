"""Pairs of question and answer in files: what `train` learns from and `augment` starts from.

A file is a JSON array, JSON lines, or a table with a header (.csv, .tsv); a .txt file is one raw text. Names of fields
are read in any case. A row is one of

    question and answer    the names of `QUESTION` and `ANSWER`; Alpaca's `instruction` with its `input`
    prompt and completion  TRL: asked through the chat template where the model has one, else continued as written
    messages               also ShareGPT's `conversations`; the answer is what the assistant says last
    text                   without an answer: raw text, learned as written

and may have a `preferred_answer`, the `original_answer` and an `id`. An answer that is a list makes one pair of each.
Rows that `augment` wrote carry its mark, the field `provenance`. Further fields are not used.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unlearn_bench.data import _files
from unlearn_bench.data._files import text_field
from unlearn_bench.errors import UserError

log = logging.getLogger(__name__)

QUESTION = ("question", "query", "instruction", "input", "prompt", "text")
# `response` and `output` come last: next to a reference they are a model's output.
ANSWER = ("answer", "reference", "ground_truth", "gt", "labels", "label", "completion", "response", "output")
MESSAGES = ("messages", "conversations", "conversation")
MARK = "provenance"  # what `augment` writes into each row
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "model": "assistant"}
ROLES |= {"bot": "assistant", "system": "system"}
_PARTS_OF_A_PROMPT = ("context", "passage", "document", "history")
_TABLES = {".csv": ",", ".tsv": "\t"}

Turn = tuple[str, str]  # role and text


@dataclass(frozen=True)
class Pair:
    """One row of a file.

    Attributes:
        where: File with line or place, for messages.
        question: What the user asks last; empty for raw text.
        answer: What is said to it; for raw text the text itself.
        earlier: The turns before the question.
        raw: `answer` is raw text without a question.
        verbatim: `question` is the beginning of a sentence, continued as written.
        bare: As `verbatim`, unless the model has a chat template (TRL's prompt and completion); not both.
        augmented: The row carries the mark of `augment`.
        preferred: What the model should say instead.
        original: The answer that `answer` replaces.
        paraphrase: The question in other words, as the evaluation asks it.
    """

    id: str
    question: str
    answer: str
    where: str = ""
    earlier: tuple[Turn, ...] = ()
    raw: bool = False
    verbatim: bool = False
    bare: bool = False
    augmented: bool = False
    preferred: str | None = None
    original: str | None = None
    paraphrase: str | None = None


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file.

    Raises:
        UserError: naming file and line of an invalid row.
    """
    if path.suffix.lower() == ".txt":
        text = _files.read_text(path)
        return [Pair(path.stem, "", text, str(path), raw=True)] if text.strip() else []
    records = list(read_records(path))
    _point_out_unused(path, records)
    return [p for number, (where, record) in enumerate(records, 1) for p in pairs_of(record, where, number)]


def read_records(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """(where, fields) of each record of a file; names of fields in lower case.

    Raises:
        UserError: naming the place of what is not an object, not JSON, not UTF-8, or a broken table.
    """
    text = _files.read_text(path)
    separator = _TABLES.get(path.suffix.lower())
    found = _table(text, separator, path) if separator else _files.json_records(text, path)
    for where, record in _files.objects(found):
        yield where, {str(key).strip().lower(): value for key, value in record.items()}


def _table(text: str, separator: str, path: Path) -> Iterator[tuple[str, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for record in reader:
            where = f"{path}:{reader.line_num}"
            if None in record:
                raise UserError(f"{where}: more cells than the header has names")
            yield where, {name: cell for name, cell in record.items() if cell not in (None, "")}
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}") from None


def _point_out_unused(path: Path, records: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """A field that looks like a part of the prompt must not be dropped silently."""
    for name in _PARTS_OF_A_PROMPT:
        count = sum(bool(record.get(name)) for _, record in records)
        if count:
            log.warning("%s: %d rows have a field %r, which is not used; write it into the question", path, count, name)


def pairs_of(record: Mapping[str, object], where: str, number: int) -> list[Pair]:
    """The pairs of one record: one, or one for each answer of a list.

    Args:
        record: Fields by lower-case name.
        where: File with line, for messages.
        number: Its id, where it has none.

    Raises:
        UserError: if the row is invalid.
    """
    names = [name for name in MESSAGES if name in record]
    base = _conversation(record[names[0]], where) if names else _plain(record, where)
    mark = record.get(MARK)
    kind = mark.get("kind") if isinstance(mark, dict) else None
    verbatim = "completion" in (kind, record.get("kind"))
    base = replace(
        base,
        id=str(record.get("id", number)),
        augmented=kind is not None,
        verbatim=verbatim,
        bare=base.bare and not verbatim,
        preferred=_optional(record, "preferred_answer", where),
        original=_optional(record, "original_answer", where),
        paraphrase=record["paraphrased_question"] if isinstance(record.get("paraphrased_question"), str) else None,
    )
    if base.answer:
        return [base]
    answers = _answers(record, where)
    if len(answers) == 1:
        return [replace(base, answer=answers[0])]
    return [replace(base, id=f"{base.id}-{n}", answer=answer) for n, answer in enumerate(answers, start=1)]


def _plain(record: Mapping[str, object], where: str) -> Pair:
    """A record of single fields; its answer is left empty, for it may be a list."""
    asked = next((name for name in QUESTION if name in record), None)
    if asked is None:
        raise UserError(f"{where}: no 'question' (found: {', '.join(record) or 'nothing'})")
    answered = any(name in record for name in ANSWER)
    if asked == "text" and not answered:
        return Pair("", "", text_field(record, "text", where), where, raw=True)
    if isinstance(record[asked], list) and asked == "prompt":
        said = record.get("completion")
        said = said if isinstance(said, list) else [{"role": "assistant", "content": said}]
        return _conversation([*record["prompt"], *said], where)
    question = text_field(record, asked, where)
    if asked == "instruction" and record.get("input"):
        question = f"{question}\n\n{text_field(record, 'input', where)}"
    earlier = (("system", record["system"]),) if asked == "instruction" and record.get("system") else ()
    return Pair("", question, "", where, earlier=earlier, bare=asked == "prompt")


def _conversation(turns: object, where: str) -> Pair:
    """A conversation as the answer that ends it, the question before, and what was said earlier."""
    if not isinstance(turns, list) or not turns:
        raise UserError(f"{where}: a conversation is a list of turns, got {turns!r:.60}")
    said = [_turn(turn, where) for turn in turns]
    last = len(said)
    while last and said[last - 1][0] == "assistant":
        last -= 1
    if last == len(said):
        raise UserError(f"{where}: the conversation does not end with a turn of the assistant")
    if not last or said[last - 1][0] != "user":
        raise UserError(f"{where}: nothing is asked before the last turn of the assistant")
    answer = "\n".join(text for _, text in said[last:])
    return Pair("", said[last - 1][1], answer, where, earlier=tuple(said[: last - 1]))


def _turn(turn: object, where: str) -> Turn:
    if not isinstance(turn, dict):
        raise UserError(f"{where}: a turn is an object of role and content, got {turn!r:.60}")
    role = str(turn.get("role", turn.get("from"))).lower()
    if role not in ROLES:
        raise UserError(f"{where}: a turn of {role!r}; understood are {', '.join(ROLES)}")
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):  # parts, of which the texts count
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str) or not content.strip():
        raise UserError(f"{where}: a turn of {role!r} must be a non-empty text, got {content!r:.60}")
    return ROLES[role], content


def _answers(record: Mapping[str, object], where: str) -> list[str]:
    name = next((name for name in ANSWER if name in record), None)
    if name is None:
        raise UserError(f"{where}: no 'answer' (found: {', '.join(record) or 'nothing'})")
    value = record[name]
    if isinstance(value, list) and value:
        return list(dict.fromkeys(text_field({name: item}, name, where) for item in value))
    return [text_field(record, name, where)]


def _optional(record: Mapping[str, object], key: str, where: str) -> str | None:
    return None if record.get(key) is None else text_field(record, key, where)
