"""What requests, answers and failures are."""

import importlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.redact import brief

Messages = Sequence[Mapping[str, str]]
NO_ECHO = "no_log_probabilities"
"""The reason of a failure: the endpoint says nothing of the tokens of a given text."""


class PlainText(NamedTuple):
    """A text for an endpoint that continues texts (`/completions`), in place of the messages of a chat.

    Attributes:
        prompt: Token ids, or characters.
        echoed: How many tokens it has, where their own log-probabilities are asked for; None where it is continued.
    """

    prompt: list[int] | str
    echoed: int | None = None


JsonMode = Literal["json_schema", "json_object", "none"]


class LLMFailure(NamedTuple):
    """The reason why a request has no answer, in place of the answer.

    Attributes:
        reason: "refusal", "content_filter", "empty_content", "truncated", "malformed_json", "schema_mismatch",
            "timeout", "connection", "malformed_body", "too_large", "server_error", "rate_limited", "http_500", …
        detail: What the server or the check said, without secrets, at most 300 characters.
    """

    reason: str
    detail: str


class Fault(Exception):
    """A try that failed.

    Args:
        reason: As in `LLMFailure`.
        said: Anything; secrets are taken out.
        retriable: Whether the same request may succeed later.
        retry_after: Seconds that the server asks to wait.
        unreachable: No server was reached.
        by_server: The server's or the network's fault; False where the model answered and the answer cannot be used.
    """

    def __init__(
        self,
        reason: str,
        said: object,
        *,
        retriable: bool,
        retry_after: float | None = None,
        unreachable: bool = False,
        by_server: bool = True,
    ) -> None:
        super().__init__(reason)
        self.failure = LLMFailure(reason, brief(said))
        self.retriable, self.retry_after = retriable, retry_after
        self.unreachable, self.by_server = unreachable, by_server


class Echo(NamedTuple):
    """What an endpoint says of the tokens of a text that it was given, but for the first.

    Attributes:
        logprobs: Natural logarithms; may be NaN.
        hits: Whether each is the most probable token; None where the endpoint does not say.
        text: As the endpoint read it.
    """

    logprobs: list[float]
    hits: list[bool] | None
    text: str


class Completion(NamedTuple):
    """A model's answer as the endpoint sent it.

    Attributes:
        text: The content; None where the message has none. Of an echoed text the JSON of an `Echo`.
        thinking: What a reasoning model thought, where the endpoint sends it apart.
        finish: The endpoint's finish_reason.
        refusal: The endpoint's refusal.
        tokens: (prompt, completion) that the endpoint counted for it; 0 where it counted none.
    """

    text: str | None
    thinking: str | None = None
    finish: str | None = None
    refusal: str | None = None
    tokens: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Usage:
    """What the answers took.

    Attributes:
        calls: HTTP requests made, retries included.
        cached: Answers read from disk.
        retries, repairs: Requests repeated after a fault; answers sent back because they did not fit their schema.
        failures: Requests that ended as an LLMFailure.
        cost: In the currency of the prices; None where no prices were given.
    """

    calls: int = 0
    cached: int = 0
    retries: int = 0
    repairs: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait before try n + 1: uniform in [0, min(cap, base * 2^(n-1))], or what the server asks.

    Attributes:
        retries: Tries after the first.
        longest_wait: A request that would wait for more seconds than this, all its waits together, has failed.
        sleep: Waits; replaced in tests. None waits on the client's stop signal.
    """

    retries: int = 6
    base: float = 1.0
    cap: float = 60.0
    longest_wait: float = 300.0
    sleep: Callable[[float], object] | None = None
    jitter: Callable[[], float] = random.random

    def seconds(self, n: int, retry_after: float | None) -> float:
        """Seconds to wait after try `n`, the first being 1, has failed."""
        return retry_after if retry_after is not None else self.jitter() * min(self.cap, self.base * 2 ** (n - 1))


def extra(name: str) -> ModuleType:
    """Import a package of the extra `api`.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"asking a language model needs the package {name}", hint='pip install "unlearn-bench[api]"'
        ) from None
