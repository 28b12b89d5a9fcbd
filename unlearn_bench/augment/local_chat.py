"""A local model behind the same calls as an endpoint: chats in, JSON objects or failures out. Greedy, so repeatable."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_bench.errors import UserError
from unlearn_bench.llm import LLMFailure, Messages, Usage, parse_json
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
        if not tokenizer.chat_template:
            raise UserError(
                f"--writer hf wants a model that follows instructions; {name} has no chat template",
                hint="name an instruction-tuned model with --writer-model, or use --writer rules",
            )
        self.name = name
        self._model, self._tokenizer, self._prompts = model, tokenizer, Prompts(tokenizer)
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
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
        from unlearn_bench.models.generation import generate_greedy

        prompts = [self._prompts.ids(self._prompts.template(list(messages))) for messages in requests]
        done = 0

        def count(n: int) -> None:
            nonlocal done
            done += n
            if self._progress is not None:
                self._progress(done, len(prompts))

        decoded = generate_greedy(
            self._model,
            prompts,
            max_new_tokens=self._max_new_tokens,
            end_ids=self._prompts.end_ids(self._model),
            pad_id=self._tokenizer.pad_token_id or 0,
            batch_size=self._batch_size,
            on_finish=count,
        )
        replies = [self._reply(tokens, schema) for tokens in decoded.tokens]
        self._usage = Usage(
            calls=self._usage.calls + len(prompts),
            failures=self._usage.failures + sum(isinstance(reply, LLMFailure) for reply in replies),
            prompt_tokens=self._usage.prompt_tokens + sum(map(len, prompts)),
            completion_tokens=self._usage.completion_tokens + sum(map(len, decoded.tokens)),
        )
        return replies

    def _reply(self, tokens: Sequence[int], schema: Mapping[str, Any]) -> dict[str, Any] | LLMFailure:
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        if not text.strip():
            return LLMFailure("empty_content", "the model said nothing")
        found = _OBJECT.search(text)
        return parse_json(found[0] if found else text, schema)
