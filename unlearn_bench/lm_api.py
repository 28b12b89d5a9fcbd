"""A model behind an OpenAI-compatible chat server, as lm-eval sees it.

Where it differs from lm-eval's `local-chat-completions`: settings that only restate the default are not sent, since
strict servers refuse fields they do not know; an answer without content (a filter, a refusal) is counted, not
silently empty.
"""

from collections.abc import Mapping, Sequence

from lm_eval.models.openai_completions import LocalChatCompletion

from unlearn_bench.errors import UserError

_RESTATED = {"repetition_penalty": 1.0, "stop": []}
PATH = "/chat/completions"


class ChatServerLM(LocalChatCompletion):
    """A chat server.

    Args:
        base_url: The server's root, with or without `/chat/completions`.
        arguments: Further arguments of lm-eval's class: num_concurrent, max_retries, timeout, …

    Attributes:
        refusals: Answers that came without content.

    Raises:
        UserError: if no address is given.
    """

    def __init__(self, base_url: str | None = None, **arguments: object) -> None:
        if not base_url:
            raise UserError(
                "--backend api: no server address", hint="pass --model-args base_url=http://localhost:8000/v1"
            )
        address = base_url.rstrip("/")
        super().__init__(base_url=address if address.endswith(PATH) else address + PATH, **arguments)
        self.refusals = 0

    def _create_payload(self, *args: object, **kwargs: object) -> dict[str, object]:
        payload = super()._create_payload(*args, **kwargs)
        payload["stop"] = [text for text in payload["stop"] if text]
        return {key: value for key, value in payload.items() if key not in _RESTATED or value != _RESTATED[key]}

    def parse_generations(self, outputs: Mapping | Sequence[Mapping], **kwargs: object) -> list[str]:
        """Texts of the answers; those without content are counted."""
        listed = outputs if isinstance(outputs, list) else [outputs]
        self.refusals += sum(c["message"].get("content") is None for o in listed for c in o.get("choices", ()))
        return super().parse_generations(outputs, **kwargs)
