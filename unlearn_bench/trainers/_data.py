"""Training rows as token ids, with the answer marked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from unlearn_bench import prompts
from unlearn_bench.errors import UserError
from unlearn_bench.losses._base import IGNORE
from unlearn_bench.pairs import Turn
from unlearn_bench.trainers._rows import TrainingRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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

    Raw text has no prompt and no end: all its tokens are learned, in chunks of `max_length`.

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
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            if messages[0]["role"] != "system" or len(messages) < 2:
                raise UserError(f"the chat template refuses a conversation: {error}") from None
        # Some templates (Gemma's) know no system turn: what it says is put before the first question.
        system, first, *rest = messages
        return self._chat([{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest])

    def __call__(self, row: TrainingRow, answer: str) -> Encoded:
        """Encode one row with the given answer (its own, the preferred or the original one).

        Raises:
            UserError: if the prompt leaves no room for an answer.
        """
        verbatim = row.verbatim or (row.bare and self._template is None and self.style == "auto")
        prompt = row.question if verbatim else self._prompt(row.question, row.earlier)
        start_ids = self._ids(prompt)
        separator = " " if verbatim else self._separator
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

    def all(self, rows: Sequence[TrainingRow]) -> list[Encoded]:
        """Every row with its own answer; raw text in chunks."""
        return [part for row in rows for part in (self.chunks(row) if row.raw else [self(row, row.answer)])]

    def chunks(self, row: TrainingRow) -> list[Encoded]:
        """Raw text as sequences of at most `max_length` tokens, each behind what the tokenizer begins a text with."""
        begin = self._ids("")
        ids = self.tokenizer(row.answer, add_special_tokens=False, verbose=False)["input_ids"]
        size = self.max_length - len(begin)
        if size < 2:
            raise UserError(f"--max-length {self.max_length} leaves no room for raw text")
        parts = [ids[i : i + size] for i in range(0, len(ids), size)]
        # The first token of a sequence has no predictor, so that one token alone would teach nothing.
        return [Encoded([*begin, *part], max(len(begin), 1)) for part in parts if len(begin) + len(part) > 1]

    def _prompt(self, question: str, earlier: Sequence[Turn] = ()) -> str:
        if self._template is not None:
            return self._template([{"role": role, "content": text} for role, text in (*earlier, ("user", question))])
        system = "\n\n".join(text for role, text in earlier if role == "system")
        said = [
            text + "\n\n" if role == "assistant" else self._asked(text) + " "
            for role, text in earlier
            if role != "system"
        ]
        return "".join([*([system, "\n\n"] if system else []), *said, self._asked(question)])

    def _asked(self, question: str) -> str:
        return prompts.build(question, style=self.style, chat_template=None)

    def _ids(self, text: str) -> list[int]:
        # A chat template writes the BOS token itself; tokenizing it again would put a second one before it.
        bos = self.tokenizer.bos_token
        special = not (bos and text.startswith(bos))
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return ids[:-1] if len(ids) > 1 and ids[-1] == eos and not text.endswith(self.tokenizer.eos_token) else ids
