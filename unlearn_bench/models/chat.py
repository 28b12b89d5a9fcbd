"""A checkpoint that is talked to: chats in, replies out, greedily. It needs a chat template."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.models.generation import generate_greedy
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Reply(NamedTuple):
    """A reply, and (prompt, completion) tokens that it took."""

    text: str
    tokens: tuple[int, int]


class ChatModel:
    """A loaded chat model.

    Args:
        model: In evaluation mode.
        tokenizer: With a chat template.
        what: What chose the model, for messages ("--judge NAME").
        max_new_tokens: Longest reply.
        hint: What to do where there is no chat template.

    Raises:
        UserError: if the tokenizer has no chat template: a base model does not follow instructions.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        what: str,
        max_new_tokens: int,
        hint: str = "name an instruction-tuned model",
    ) -> None:
        if not tokenizer.chat_template:
            raise UserError(f"{what}: a model that follows instructions is needed; it has no chat template", hint=hint)
        self._model, self._tokenizer, self._prompts = model, tokenizer, Prompts(tokenizer)
        self._max_new_tokens = max_new_tokens

    def replies(
        self,
        requests: Sequence[Sequence[Mapping[str, str]]],
        *,
        batch_size: int,
        on_finish: Callable[[int], None] = lambda _: None,
    ) -> list[Reply | None]:
        """A reply to each chat; None where the model's context has no room for it.

        Args:
            requests: Chats: mappings of role and content.
            batch_size: Most chats in one model call.
            on_finish: Called with the number of replies that were just finished.
        """
        prompts = [self._prompts.ids(self._prompts.template(list(messages))) for messages in requests]
        limit = getattr(self._model.config, "max_position_embeddings", None) or 10**9
        fitting = [i for i, prompt in enumerate(prompts) if len(prompt) + self._max_new_tokens <= limit]
        replies: list[Reply | None] = [None] * len(prompts)
        if not fitting:
            return replies
        decoded = generate_greedy(
            self._model,
            [prompts[i] for i in fitting],
            max_new_tokens=self._max_new_tokens,
            end_ids=self._prompts.end_ids(self._model),
            pad_id=self._tokenizer.pad_token_id or 0,
            batch_size=batch_size,
            on_finish=on_finish,
        )
        for i, tokens in zip(fitting, decoded.tokens, strict=True):
            text = self._tokenizer.decode(tokens, skip_special_tokens=True)
            replies[i] = Reply(text, (len(prompts[i]), len(tokens)))
        return replies
