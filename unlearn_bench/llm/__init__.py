"""A chat client for any OpenAI-compatible endpoint: nothing is lost, nothing is paid for twice, nothing is invented.

One client serves the judged model behind a server (`run --backend api`), scoring by a language model (entities,
judges), and `augment`. A judged model may also be asked by `/completions`: texts are continued, or their own
log-probabilities are told (`PlainText`).

    client.py     ChatClient: many requests at once, retries, answers kept on disk
    _ask.py       one request
    _endpoint.py  the address and the key
    _http.py      one bounded exchange: limits of time and size, no redirects, a separate connection
    _reply.py     what a reply says: an answer, a passing fault, an error for all
    _kept.py      answers on disk
"""

from unlearn_bench.llm._endpoint import DEFAULT_BASE_URL
from unlearn_bench.llm._endpoint import address as base_address
from unlearn_bench.llm._types import (
    NO_ECHO,
    Backoff,
    Completion,
    Echo,
    JsonMode,
    LLMFailure,
    Messages,
    PlainText,
    Usage,
)
from unlearn_bench.llm.client import ChatClient, parse_json

__all__ = [
    "DEFAULT_BASE_URL",
    "NO_ECHO",
    "Backoff",
    "ChatClient",
    "Completion",
    "Echo",
    "JsonMode",
    "LLMFailure",
    "Messages",
    "PlainText",
    "Usage",
    "base_address",
    "parse_json",
]
