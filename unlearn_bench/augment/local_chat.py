"""A local model behind the same calls as an endpoint: chats in, JSON objects or failures out. Greedy, so repeatable."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_bench.llm import LLMFailure, Messages, Usage, parse_json
from unlearn_bench.models.chat import ChatModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TOO_LONG = LLMFailure("prompt_too_long", "the model's context has no room for the answer")
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class LocalChat:
    """A chat model in this process.

    Args:
        model: In evaluation mode.
        tokenizer: With a chat template.
        name: Of the model, for the record.
        progress: Called with (answers so far, answers wanted).

    Raises:
        UserError: if the tokenizer has no chat template: a base model does not follow instructions.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        name: str,
        max_new_tokens: int = 256,
        batch_size: int = 8,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.name = name
        self._chat = ChatModel(
            model,
            tokenizer,
            what=f"--writer hf, {name}",
            max_new_tokens=max_new_tokens,
            hint="name an instruction-tuned model with --writer-model, or use --writer rules",
        )
        self._batch_size = batch_size
        self._progress = progress
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """Chats and tokens so far."""
        return self._usage

    def complete_json_many(
        self, requests: Sequence[Messages], *, schema: Mapping[str, Any]
    ) -> "list[dict[str, Any] | LLMFailure]":
        """Answers as JSON objects that fit a schema; words around the object are dropped, nothing else is repaired."""
        done = 0

        def count(n: int) -> None:
            nonlocal done
            done += n
            if self._progress is not None:
                self._progress(done, len(requests))

        said = self._chat.replies(requests, batch_size=self._batch_size, on_finish=count)
        replies = [_TOO_LONG if reply is None else _read(reply.text, schema) for reply in said]
        self._usage = Usage(
            calls=self._usage.calls + len(said),
            failures=self._usage.failures + sum(isinstance(reply, LLMFailure) for reply in replies),
            prompt_tokens=self._usage.prompt_tokens + sum(reply.tokens[0] for reply in said if reply),
            completion_tokens=self._usage.completion_tokens + sum(reply.tokens[1] for reply in said if reply),
        )
        return replies


def _read(text: str, schema: Mapping[str, Any]) -> "dict[str, Any] | LLMFailure":
    if not text.strip():
        return LLMFailure("empty_content", "the model said nothing")
    found = _OBJECT.search(text)
    return parse_json(found[0] if found else text, schema)
