"""One request to a language model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from unlearn_bench.llm._types import JsonMode, LLMFailure, Messages, PlainText

ECHO = {"echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
"""What asks for the log-probabilities of a given text; one token is generated, since few servers take 0 of them."""


class Ask(NamedTuple):
    """What is said, parameters on top of the client's, and the form of the answer.

    Attributes:
        schema: Of a JSON answer; None for text.
        partial: An answer cut at the token limit, and an empty one, is an answer: it is judged, not used.
    """

    messages: Messages | PlainText
    parameters: Mapping[str, Any]
    schema: Mapping[str, Any] | None = None
    partial: bool = False

    def body(self, model: str, parameters: Mapping[str, Any], json_mode: JsonMode) -> dict[str, Any]:
        """The JSON body that is sent."""
        if isinstance(self.messages, PlainText):
            asked: dict[str, Any] = {"prompt": self.messages.prompt}
            asked |= {} if self.messages.echoed is None else ECHO
        else:
            asked = {"messages": [dict(m) for m in self.messages]}
        body = {"model": model, **asked, **parameters, **self.parameters}
        if self.schema is not None and json_mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif self.schema is not None and json_mode == "json_schema":
            named = {"name": "answer", "strict": True, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def repaired(self, text: str, failure: LLMFailure) -> "Ask":
        """The same request again, with the answer that cannot be used and why."""
        complaint = (
            f"That answer cannot be used ({failure.detail}). "
            "Answer again with the corrected JSON object and nothing else."
        )
        turns = [{"role": "assistant", "content": text}, {"role": "user", "content": complaint}]
        return self._replace(messages=[*self.messages, *turns])
