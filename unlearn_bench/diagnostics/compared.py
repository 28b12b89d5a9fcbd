"""The models that the judged one is compared with: found before the work, loaded, and read with the same tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.models.subject import load_subject
from unlearn_bench.schema import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SAMPLE = 8  # rows


def load_others(
    original: str | None,
    oracle: str | None,
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[Row],
    **arguments: object,
) -> "dict[str, PreTrainedModel]":
    """The models of `--original` and `--oracle`, those that were named; see `load_compared`."""
    named = {"original": original, "oracle": oracle}
    return {key: load_compared(name, f"--{key}", tokenizer, rows, **arguments) for key, name in named.items() if name}


def load_compared(
    name: str, option: str, tokenizer: "PreTrainedTokenizerBase", rows: Sequence[Row], **arguments: object
) -> "PreTrainedModel":
    """Load a model that is compared with the judged one.

    Args:
        name: As `load_subject` takes it.
        option: The option that named it, for messages.
        tokenizer: The judged model's.
        rows: What will be asked.
        arguments: Further arguments of `load_subject`.

    Raises:
        UserError: if it cannot be loaded, or its tokenizer reads the rows as other tokens.
    """
    model, own = load_subject(name, **arguments)
    for text in [f"{row.question} {row.answer}" for row in rows[:_SAMPLE]]:
        if own(text)["input_ids"] != tokenizer(text)["input_ids"]:
            raise UserError(
                f"{option} {name}: its tokenizer reads the questions as other tokens than the judged model's",
                hint="distributions can only be compared over the same tokens",
            )
    return model
