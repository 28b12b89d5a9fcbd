"""Training rows as token ids, with the answer marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.losses.base import IGNORE
from unlearn_bench.tokens import DATE, Prompts

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
    """Rows to token ids: the prompt as the evaluation makes it, the answer, and what ends a turn.

    Raw text has no prompt and no end: all its tokens are learned, in chunks of `max_length`.

    Args:
        style: A prompt style of `unlearn_bench.tokens`.
        max_length: Longer sequences lose the end of their answer; how many did is in `truncated`.
        thinking: The template's thinking switch, as in evaluation.
        date: What templates that write a date write.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        style: str = "auto",
        max_length: int = 512,
        thinking: str = "model",
        date: str = DATE,
    ) -> None:
        self.prompts = Prompts(tokenizer, style, thinking=thinking, date=date)
        self.max_length = max_length
        self.truncated = 0

    def __call__(self, row: Pair, answer: str) -> Encoded:
        """Encode one row with the given answer (its answer, the preferred or the original one).

        Raises:
            UserError: if the prompt leaves no room for an answer.
        """
        verbatim = row.verbatim or (row.bare and self.prompts.template is None and self.prompts.style == "auto")
        prompt = row.question if verbatim else self.prompts.prompt(row.question, row.earlier)
        ids, start, _ = self.prompts.encode(prompt, answer, verbatim=verbatim)
        if start >= min(len(ids), self.max_length):
            raise UserError(
                f"row {row.id}: its prompt of {start} tokens leaves no room for the answer",
                hint=f"raise --max-length (now {self.max_length}) or drop the row",
            )
        self.truncated += len(ids) > self.max_length
        return Encoded(ids[: self.max_length], start)

    def all(self, rows: Sequence[Pair]) -> list[Encoded]:
        """Every row with its answer; raw text in chunks."""
        return [part for row in rows for part in (self.chunks(row) if row.raw else [self(row, row.answer)])]

    def chunks(self, row: Pair) -> list[Encoded]:
        """Raw text as sequences of at most `max_length` tokens, each behind what the tokenizer begins a text with."""
        begin = self.prompts.begin
        ids = self.prompts.bare_ids(row.answer)
        size = self.max_length - len(begin)
        if size < 2:
            raise UserError(f"--max-length {self.max_length} leaves no room for raw text")
        parts = [ids[i : i + size] for i in range(0, len(ids), size)]
        # The first token of a sequence has no predictor, so that one token alone would teach nothing.
        return [Encoded([*begin, *part], max(len(begin), 1)) for part in parts if len(begin) + len(part) > 1]
