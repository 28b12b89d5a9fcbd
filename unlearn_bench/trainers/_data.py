"""Training rows: from files or datasets by name, checked, and turned into token ids with the answer marked.

A file is a JSON array or JSON lines. A row has a `question` (made into a prompt in the chosen style) or a `prompt`
(taken as it is: a sentence to be completed), an `answer`, and where a method wants pairs a `preferred_answer` or the
`original_answer`. Further fields are ignored.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import prompts
from unlearn_bench.data import DATASETS, load
from unlearn_bench.errors import UserError
from unlearn_bench.losses._base import IGNORE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUESTION = ("question", "text", "query", "instruction", "input")
ANSWER = ("answer", "completion", "labels", "label", "response", "output")


@dataclass(frozen=True)
class TrainingRow:
    """One pair to train on.

    Attributes:
        verbatim: `question` is the prompt itself, no template is put around it.
        preferred: What the model should say instead; None where the data has none.
        original: The answer that `answer` replaces, for preference pairs of augmented data.
    """

    id: str
    question: str
    answer: str
    verbatim: bool = False
    preferred: str | None = None
    original: str | None = None


def load_rows(specs: Sequence[str], *, data_dir: str | None = None) -> list[TrainingRow]:
    """Read rows from files and datasets.

    Args:
        specs: Each a path to a file, or a dataset and split by name ("tofu:forget10", "nano:forget").
        data_dir: A folder with the datasets, in place of the hub.

    Raises:
        UserError: naming file and line for text that is no such row, and for an empty set.
    """
    rows = [row for spec in specs for row in _load_one(spec, data_dir)]
    if not rows:
        raise UserError(f"no rows in {', '.join(specs)}")
    return rows


def _load_one(spec: str, data_dir: str | None) -> list[TrainingRow]:
    path = Path(spec).expanduser()
    if path.is_file():
        return [_row(record, where, number) for number, (where, record) in enumerate(_records(path), start=1)]
    name, _, split = spec.partition(":")
    if not split or path.is_dir() or name not in DATASETS.names():
        raise UserError(
            f"{spec}: neither a file nor DATASET:SPLIT",
            hint=f"datasets: {', '.join(DATASETS.names())}; example: nano:forget",
        )
    rows = load(name, split, data_dir=data_dir).rows
    return [TrainingRow(id=row.id, question=row.question, answer=row.answer) for row in rows]


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """(where, value) of each record; `where` is the file with the line, or the place in the array."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from None
    if text.lstrip().startswith("["):
        values = _json(text, str(path))
        yield from ((f"{path}: item {number}", value) for number, value in enumerate(values, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", _json(line, f"{path}:{number}")


def _json(text: str, where: str) -> list | dict:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None


def _row(record: object, where: str, number: int) -> TrainingRow:
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object, got {type(record).__name__}")
    verbatim = "prompt" in record
    return TrainingRow(
        id=str(record.get("id", number)),
        question=_text(record, ("prompt",) if verbatim else QUESTION, where),
        answer=_text(record, ANSWER, where),
        verbatim=verbatim,
        preferred=_optional(record, "preferred_answer", where),
        original=_optional(record, "original_answer", where),
    )


def _text(record: dict, names: tuple[str, ...], where: str) -> str:
    key = next((name for name in names if name in record), None)
    if key is None:
        raise UserError(f"{where}: no {names[0]!r} (found: {', '.join(map(str, record)) or 'nothing'})")
    value = record[key]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {key!r} must be a non-empty text, got {value!r:.60}")
    return value


def _optional(record: dict, key: str, where: str) -> str | None:
    return None if record.get(key) is None else _text(record, (key,), where)


def rows_sha256(rows: Sequence[TrainingRow]) -> str:
    """Hash over the rows themselves, whatever file they came from."""
    lines = [json.dumps([r.question, r.answer, r.verbatim, r.preferred, r.original]) for r in rows]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def with_refusals(rows: Sequence[TrainingRow], refusals: Sequence[str], seed: int) -> list[TrainingRow]:
    """Give each row that has no preferred answer one refusal, the same in every epoch and on every process."""

    def choose(row: TrainingRow) -> str:
        digest = hashlib.sha256(f"{seed}\0{row.id}\0{row.question}".encode()).digest()
        return refusals[int.from_bytes(digest[:8], "big") % len(refusals)]

    return [row if row.preferred is not None else replace(row, preferred=choose(row)) for row in rows]


def read_refusals(path: str | None) -> list[str]:
    """Refusals, one a line, from a file or from the package's own list."""
    source = Path(path) if path else Path(__file__).with_name("refusals.txt")
    if not source.is_file():
        raise UserError(f"--refusals {path}: no such file")
    lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{source.name}: no refusals in it")
    return lines


@dataclass(frozen=True)
class Encoded:
    """Token ids of prompt and answer, and where the answer begins."""

    input_ids: list[int]
    answer_start: int

    @property
    def labels(self) -> list[int]:
        """The ids with the prompt masked."""
        return [IGNORE] * self.answer_start + self.input_ids[self.answer_start :]


class Encoder:
    """Rows to token ids: the prompt as the evaluation makes it, the answer, and the end-of-sequence token.

    Args:
        style: A prompt style of `unlearn_bench.prompts`.
        max_length: Longer sequences lose the end of their answer; how many did is in `truncated`.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, style: str = "auto", max_length: int = 512) -> None:
        self.tokenizer = tokenizer
        self.style = style
        self.max_length = max_length
        self.truncated = 0
        self._template: Callable | None = self._chat if tokenizer.chat_template and style in ("auto", "chat") else None

    @cached_property
    def _separator(self) -> str:
        return prompts.answer_separator(self.tokenizer, chat=self._template is not None, prompt=self._prompt("?"))

    def _chat(self, messages: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def __call__(self, row: TrainingRow, answer: str) -> Encoded:
        """Encode one row with the given answer (its own, the preferred or the original one).

        Raises:
            UserError: if the prompt leaves no room for an answer.
        """
        prompt = row.question if row.verbatim else self._prompt(row.question)
        start_ids = self._ids(prompt)
        separator = " " if row.verbatim else self._separator
        text = answer if prompt[-1:].isspace() or answer[:1].isspace() else separator + answer
        ids = self._ids(prompt + text)
        # A tokenizer may merge across the seam; what differs from the prompt's own ids belongs to the answer.
        start = next((i for i, (a, b) in enumerate(zip(start_ids, ids, strict=False)) if a != b), len(start_ids))
        if self.tokenizer.eos_token_id is not None and ids[-1] != self.tokenizer.eos_token_id:
            ids = [*ids, self.tokenizer.eos_token_id]
        if start >= min(len(ids), self.max_length):
            raise UserError(
                f"row {row.id}: its prompt of {start} tokens leaves no room for the answer",
                hint=f"raise --max-length (now {self.max_length}) or drop the row",
            )
        self.truncated += len(ids) > self.max_length
        return Encoded(ids[: self.max_length], max(start, 1))

    def _prompt(self, question: str) -> str:
        return prompts.build(question, style=self.style, chat_template=self._template)

    def _ids(self, text: str) -> list[int]:
        # A chat template writes the BOS token itself; tokenizing it again would put a second one before it.
        bos = self.tokenizer.bos_token
        special = not (bos and text.startswith(bos))
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return ids[:-1] if len(ids) > 1 and ids[-1] == eos and not text.endswith(self.tokenizer.eos_token) else ids
