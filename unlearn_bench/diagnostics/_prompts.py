"""Rows as tokens: what is asked at which position, and which tokens name the subject."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import PreTrainedTokenizerBase

from unlearn_bench.diagnostics._spans import entity_span, subject_spans, subject_words
from unlearn_bench.diagnostics.schema import REASONS
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row
from unlearn_bench.tokens import Prompts, Span

MAX_TOKENS = 2048


@dataclass(frozen=True)
class Prompt:
    """One row, tokenised with its reference answer (teacher forcing).

    Attributes:
        ids: Prompt and answer tokens.
        pieces: The text of each token, for tables and plots.
        start: Index of the first answer token; the token before it is the last prompt position.
        asked: Indices into `ids` of the answer tokens whose prediction is analysed: the first k, then the first entity
            token if it is not among them.
        entity: Token span of the gold entity, [first, last + 1).
        entity_rule: Which rule found the entity (`_spans.entity_span`).
        subject, template: Token indices before the entity that name the subject; the question's other tokens.
    """

    id: str
    cluster: str | None
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    start: int
    asked: tuple[int, ...]
    entity: tuple[int, int]
    entity_rule: str
    subject: frozenset[int]
    template: frozenset[int]


@dataclass(frozen=True)
class Batch:
    """Prompts padded on the right, so that positions need no correction in any architecture."""

    prompts: Sequence[Prompt]
    pad: int
    device: torch.device

    @cached_property
    def ids(self) -> torch.Tensor:
        """Token ids, (batch, longest)."""
        longest = max(len(p.ids) for p in self.prompts)
        return torch.tensor([[*p.ids, *[self.pad] * (longest - len(p.ids))] for p in self.prompts], device=self.device)

    @cached_property
    def mask(self) -> torch.Tensor:
        """1 for tokens, 0 for padding, (batch, longest)."""
        lengths = torch.tensor([len(p.ids) for p in self.prompts], device=self.device)
        return (torch.arange(self.ids.shape[1], device=self.device)[None] < lengths[:, None]).long()

    def where(self, tokens: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat (row, position) indices of the positions that predict the given tokens of each prompt."""
        rows = [row for row, indices in enumerate(tokens) for _ in indices]
        positions = [index - 1 for indices in tokens for index in indices]
        return tuple(torch.tensor(found, dtype=torch.long, device=self.device) for found in (rows, positions))

    def targets(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """The ids of the given tokens, flat."""
        ids = [p.ids[i] for p, indices in zip(self.prompts, tokens, strict=True) for i in indices]
        return torch.tensor(ids, dtype=torch.long, device=self.device)


def encode(
    row: Row, tokenizer: PreTrainedTokenizerBase, asker: Prompts, *, positions: int = 8, longest: int = MAX_TOKENS
) -> Prompt | str:
    """Tokenise one row, or return why it cannot be analysed.

    Args:
        row: The question and its reference answer.
        tokenizer: A fast tokenizer (character offsets are needed).
        asker: How the question is asked.
        positions: How many answer positions are asked.
        longest: Most tokens of prompt and answer.

    Returns:
        The prompt, or the reason: "no_answer", "too_long".
    """
    head = asker.prompt(row.question)
    found = entity_span(row.answer, row.question, row.paraphrased_answer, row.perturbed_answers)
    if found is None:
        return "no_answer"
    shift = len(head) + len(asker.between(head, row.answer))
    text = head + asker.between(head, row.answer) + row.answer
    ids, start, offsets = asker.encode(head, row.answer, end="none", spans=True)
    entity = _touching(offsets, [(found.start + shift, found.end + shift)], start, len(ids))
    if len(ids) > longest:
        return "too_long"
    if not entity or start == 0:
        return "no_answer"
    first = list(range(start, min(start + positions, len(ids))))
    asked = first if entity[0] in first else [*first, entity[0]]
    question_at = head.find(row.question)
    question = (
        _touching(offsets, [(question_at, question_at + len(row.question))], 0, start) if question_at >= 0 else []
    )
    spans = subject_spans(text, subject_words(row.question, row.cluster))
    # Words of the prompt's scaffolding are never the subject.
    inside = [s for s in spans if question_at <= s[0] < question_at + len(row.question) or s[0] >= shift]
    subject = frozenset(_touching(offsets, inside, 0, entity[0]))
    return Prompt(
        id=row.id,
        cluster=row.cluster,
        ids=tuple(ids),
        pieces=tuple(tokenizer.decode([i]) for i in ids),
        start=start,
        asked=tuple(asked),
        entity=(entity[0], entity[-1] + 1),
        entity_rule=found.rule,
        subject=subject,
        template=frozenset(question) - subject,
    )


def encode_all(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    *,
    positions: int = 8,
    asker: Prompts | None = None,
    longest: int = MAX_TOKENS,
) -> tuple[list[Prompt], Counter[str]]:
    """Tokenise the rows; those that cannot be analysed are counted by reason.

    Raises:
        UserError: for a tokenizer without character offsets, or when no row is left.
    """
    if not tokenizer.is_fast:
        raise UserError(
            f"tokenizer {type(tokenizer).__name__} has no character offsets",
            hint="diagnose needs a fast tokenizer (a tokenizer.json next to the weights)",
        )
    asker = asker or Prompts(tokenizer)
    encoded = [encode(row, tokenizer, asker, positions=positions, longest=longest) for row in rows]
    found = [p for p in encoded if isinstance(p, Prompt)]
    reasons = Counter(reason for reason in encoded if isinstance(reason, str))
    if not found:
        counts = ", ".join(f"{count} {REASONS[reason]}" for reason, count in reasons.items())
        raise UserError(
            f"no row to analyse: {counts or 'no rows given'}", hint="rows need a reference answer that fits"
        )
    return found, reasons


def batches(
    found: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, device: torch.device, size: int
) -> list[Batch]:
    """Group prompts of similar length, so that little is computed on padding."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    ordered = sorted(found, key=lambda p: len(p.ids))
    return [Batch(ordered[i : i + size], pad, device) for i in range(0, len(ordered), size)]


def _touching(offsets: Sequence[Span], spans: Sequence[Span], first: int, last: int) -> list[int]:
    """Token indices in [first, last) that overlap any of the character spans."""
    return [i for i in range(first, last) if any(offsets[i][0] < end and start < offsets[i][1] for start, end in spans)]
