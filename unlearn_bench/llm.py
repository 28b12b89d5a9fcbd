"""A chat client for any OpenAI-compatible endpoint: nothing is lost, nothing is paid for twice, nothing is invented.

- Retries with exponential back-off and full jitter on 408, 409, 425, 429, 5xx, timeouts and cut connections; a
  Retry-After header is obeyed.
- Answers are kept on disk, one file per request, keyed by the hash of endpoint, model, messages and parameters, and
  written atomically: a killed run goes on where it was, and processes may share the folder. Failures are not kept.
- JSON answers are checked against a schema; an answer that does not fit is sent back once with the complaint.
- What still fails is returned as an `LLMFailure` with its reason, in its place. What would fail for every request (a
  refused key, an unknown model, no server, an empty account) stops everything with one error.
- The key is read from the environment and appears in no message, representation or file.
"""

import importlib
import json
import logging
import os
import random
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.fingerprint import sha256_json

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

Messages = Sequence[Mapping[str, str]]
JsonMode = Literal["json_schema", "json_object", "none"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_log = logging.getLogger(__name__)
_RETRIED_STATUS = frozenset({408, 409, 425, 429})
_FATAL_STATUS = frozenset({401, 402, 403, 404})
_REFUSAL = re.compile(
    r"^\W*(i\W?m (very )?sorry|sorry|i (can ?not|can\Wt|won\Wt)|as an ai\b|i\W?m (not able|unable))", re.I
)
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.S | re.I)


class LLMFailure(NamedTuple):
    """In place of an answer: why there is none.

    Attributes:
        reason: "refusal", "content_filter", "empty_content", "truncated", "malformed_json", "schema_mismatch",
            "timeout", "connection", "malformed_body", "rate_limited", "http_500", …
        detail: What the server or the check said.
    """

    reason: str
    detail: str


class LLMError(Exception):
    """Raised by the calls for a single answer when there is none."""

    def __init__(self, failure: LLMFailure) -> None:
        super().__init__(f"{failure.reason}: {failure.detail}")
        self.failure = failure


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
        longest_wait: If the server asks for more seconds than this, the request has failed.
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


class _Fault(Exception):
    """A try that failed; `retry_after` seconds are what the server asked for."""

    def __init__(self, failure: LLMFailure, *, retriable: bool, retry_after: float | None = None) -> None:
        super().__init__(failure.reason)
        self.failure, self.retriable, self.retry_after = failure, retriable, retry_after


@dataclass
class ChatClient:
    """An endpoint, a model and its parameters.

    Args:
        model: Name of the model at the endpoint.
        base_url: Up to and including "/v1".
        api_key_env: Environment variable that holds the key; local servers need none.
        parameters: Sent with every request and part of the cache key (temperature, max_tokens, seed, top_p, …).
        json_mode: How JSON is asked for: the endpoint's structured output, its JSON mode, or only in words.
        concurrency: Requests under way at the same time.
        timeout: Seconds without a byte from the server.
        cache_dir: Where answers are kept; None keeps none.
        prices: Per million prompt tokens and completion tokens.
        progress: Called with (answers so far, answers wanted).
    """

    model: str
    base_url: str = DEFAULT_BASE_URL
    api_key_env: str = "OPENAI_API_KEY"
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.0})
    json_mode: JsonMode = "json_object"
    concurrency: int = 8
    timeout: float = 120.0
    cache_dir: Path | None = None
    prices: tuple[float, float] | None = None
    backoff: Backoff = Backoff()
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        self._usage = Usage(cost=None if self.prices is None else 0.0)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._stop = threading.Event()
        if self.base_url == DEFAULT_BASE_URL and not os.environ.get(self.api_key_env):
            raise UserError(
                f"{self.base_url} wants a key, and the environment variable {self.api_key_env} is not set",
                hint=f"export {self.api_key_env}=…, or name another endpoint with --llm-base-url",
            )

    @property
    def name(self) -> str:
        """The model's name, for the record."""
        return self.model

    @property
    def fingerprint(self) -> str:
        """Hash of model and parameters: what can change an answer, as far as it can be known from here."""
        return sha256_json([self.model, dict(self.parameters), self.json_mode])

    @property
    def usage(self) -> Usage:
        """Counts so far."""
        with self._lock:
            return self._usage

    def complete(self, messages: Messages) -> str:
        """One answer as text.

        Raises:
            LLMError: if there is none, with the reason.
            UserError: if no request can succeed.
        """
        return _or_raise(self._attempt(messages, None))

    def complete_json(self, messages: Messages, *, schema: Mapping[str, Any]) -> dict[str, Any]:
        """One answer as a JSON object that fits a JSON schema.

        Raises:
            LLMError: if there is none after one repair, with the reason.
            UserError: if no request can succeed.
        """
        return _or_raise(self._attempt(messages, schema))

    def complete_many(self, requests: Sequence[Messages]) -> "list[str | LLMFailure]":
        """Answers as text, in the order of the requests; a failure stands in the place of its answer.

        Equal requests are asked once: to sample again, change the seed in `parameters`.
        """
        return self._many(requests, None)

    def complete_json_many(
        self, requests: Sequence[Messages], *, schema: Mapping[str, Any]
    ) -> "list[dict[str, Any] | LLMFailure]":
        """Answers as JSON objects that fit a schema, in the order of the requests, failures in their places.

        Raises:
            UserError: if no request can succeed; answers received until then are kept in the cache.
        """
        return self._many(requests, schema)

    def _many(self, requests: Sequence[Messages], schema: Mapping[str, Any] | None) -> list[Any]:
        keys = [self.cache_key(messages, schema) for messages in requests]
        different = dict(zip(keys, requests, strict=True))
        results: dict[str, Any] = {}
        self._stop.clear()
        pool = ThreadPoolExecutor(max_workers=max(1, self.concurrency))
        try:
            futures = {pool.submit(self._attempt, messages, schema): key for key, messages in different.items()}
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                if self.progress is not None:
                    self.progress(len(results), len(different))
        finally:  # on Ctrl-C and on an error for all nobody sleeps on or starts anew; what is under way is kept
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()
        return [results[key] for key in keys]

    def _attempt(self, messages: Messages, schema: Mapping[str, Any] | None) -> Any:
        """From cache or endpoint: a text, a JSON object, or an LLMFailure."""
        key = self.cache_key(messages, schema)
        if (text := self._read(key)) is not None:
            self._count(cached=1)
            return text if schema is None else json.loads(text)
        try:
            text, value = self._text(messages) if schema is None else self._json(messages, schema)
        except _Fault as fault:
            self._count(failures=1)
            return fault.failure
        self._write(key, text)
        return value

    def _text(self, messages: Messages) -> tuple[str, str]:
        text = self._request(self._body(messages, None))
        return text, text

    def _json(self, messages: Messages, schema: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The answer as canonical text and as a value, after at most one repair."""
        text = self._request(self._body(messages, schema))
        value = parse_json(text, schema)
        if isinstance(value, LLMFailure) and value.reason != "refusal":
            self._count(repairs=1)
            text = self._request(self._body(_repair(messages, text, value), schema))
            value = parse_json(text, schema)
        if isinstance(value, LLMFailure):
            raise _Fault(value, retriable=False)
        return json.dumps(value, ensure_ascii=False), value

    def _body(self, messages: Messages, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        body = {"model": self.model, "messages": [dict(m) for m in messages], **self.parameters}
        if schema is not None and self.json_mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif schema is not None and self.json_mode == "json_schema":
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _request(self, body: Mapping[str, Any]) -> str:
        """Try until there is an answer or no hope.

        Raises:
            _Fault: if this request has failed for good.
            UserError: if every request would.
        """
        for n in range(1, self.backoff.retries + 2):
            if self._stop.is_set():
                raise _Fault(LLMFailure("stopped", "another request ended the run"), retriable=False)
            self._count(calls=1, retries=int(n > 1))
            try:
                return self._once(body)
            except _Fault as fault:
                self._wait_or_raise(fault, n)
        raise AssertionError("unreachable: the last try either answers or raises")

    def _wait_or_raise(self, fault: _Fault, n: int) -> None:
        last = n > self.backoff.retries
        wait = self.backoff.seconds(n, fault.retry_after)
        if fault.retriable and last and fault.failure.reason == "connection":
            raise UserError(
                f"no connection to {self.base_url} after {n} tries ({fault.failure.detail})",
                hint="check --llm-base-url; answers received until now are kept",
            )
        if not fault.retriable or last or wait > self.backoff.longest_wait:
            raise fault
        _log.info(
            "%s from %s, try %d of %d in %.1f s",
            fault.failure.reason,
            self.base_url,
            n + 1,
            self.backoff.retries + 1,
            wait,
        )
        (self.backoff.sleep or self._stop.wait)(wait)

    def _once(self, body: Mapping[str, Any]) -> str:
        requests = _extra("requests")
        url = f"{self.base_url}/chat/completions"
        try:
            response = self._session().post(
                url, json=body, timeout=self.timeout, auth=self._sign, allow_redirects=False
            )
            payload = self._payload(response)
        except requests.exceptions.Timeout as error:
            raise _Fault(LLMFailure("timeout", f"no answer in {self.timeout:g} s"), retriable=True) from error
        except requests.exceptions.RequestException as error:
            raise _Fault(LLMFailure("connection", self._clean(error)), retriable=True) from error
        self._count_tokens(payload)
        return _answer(payload)

    def _payload(self, response: "Response") -> Any:
        if response.status_code == 200:
            try:
                return response.json()
            except ValueError as error:
                raise _Fault(LLMFailure("malformed_body", self._clean(error)), retriable=True) from error
        status, said = response.status_code, self._clean(response.text)
        if status in _FATAL_STATUS or "insufficient_quota" in said:
            raise UserError(
                f"{self.base_url} refuses every request: HTTP {status} for model {self.model!r}: {said}",
                hint=f"check the key in {self.api_key_env}, --llm-model and --llm-base-url",
            )
        reason = "rate_limited" if status == 429 else f"http_{status}"
        retriable = status in _RETRIED_STATUS or status >= 500
        raise _Fault(LLMFailure(reason, said), retriable=retriable, retry_after=_retry_after(response))

    def _session(self) -> "Session":
        """A session per thread: requests does not promise that one may be shared."""
        if not hasattr(self._local, "session"):
            self._local.session = _extra("requests").Session()
        return self._local.session

    def _sign(self, request: "PreparedRequest") -> "PreparedRequest":
        """Put the key on a request; being an `auth`, it also keeps requests from looking into ~/.netrc."""
        if key := os.environ.get(self.api_key_env):
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    def _clean(self, said: object) -> str:
        """The first line of what was said, without the key, which some servers echo."""
        text = " ".join(str(said).split())[:300]
        key = os.environ.get(self.api_key_env)
        return text.replace(key, "***") if key else text

    def cache_key(self, messages: Messages, schema: Mapping[str, Any] | None = None) -> str:
        """Hash of everything that can change the answer."""
        return sha256_json([self.base_url, self._body(messages, schema), schema])

    def _path(self, key: str) -> Path | None:
        return None if self.cache_dir is None else Path(self.cache_dir) / key[:2] / f"{key}.json"

    def _read(self, key: str) -> str | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return stored["text"] if stored["key"] == key else None
        except (ValueError, KeyError, TypeError):  # written by something else; ask again and overwrite
            return None

    def _write(self, key: str, text: str) -> None:
        path = self._path(key)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            part.write_text(json.dumps({"key": key, "model": self.model, "text": text}), encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _count(self, **more: float) -> None:
        with self._lock:
            now = self._usage
            self._usage = replace(now, **{name: (getattr(now, name) or 0) + n for name, n in more.items()})

    def _count_tokens(self, payload: Any) -> None:
        """Count what the endpoint says it took; a refusal is paid for, too."""
        usage = payload.get("usage") if isinstance(payload, dict) else None
        if not isinstance(usage, dict):
            return
        sent, received = (int(usage.get(key) or 0) for key in ("prompt_tokens", "completion_tokens"))
        self._count(prompt_tokens=sent, completion_tokens=received)
        if self.prices is not None:
            self._count(cost=(sent * self.prices[0] + received * self.prices[1]) / 1e6)


def parse_json(text: str, schema: Mapping[str, Any]) -> "dict[str, Any] | LLMFailure":
    """A model's answer as a JSON object that fits `schema`, or what is wrong with it.

    A Markdown fence around the whole answer is taken off; nothing else is mended.

    >>> parse_json('{"verdict": "yes"}', {"required": ["verdict"]})
    {'verdict': 'yes'}
    """
    jsonschema = _extra("jsonschema")
    fenced = _FENCE.match(text.strip())
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except ValueError as error:
        return LLMFailure("refusal" if _REFUSAL.match(text) else "malformed_json", f"{error}: {text[:200]!r}")
    if not isinstance(value, dict):
        return LLMFailure("schema_mismatch", f"expected a JSON object, got {type(value).__name__}")
    try:
        jsonschema.validate(value, dict(schema))
    except jsonschema.ValidationError as error:
        return LLMFailure("schema_mismatch", f"{error.json_path}: {error.message}"[:300])
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _repair(messages: Messages, text: str, failure: LLMFailure) -> list[Mapping[str, str]]:
    complaint = (
        f"That answer cannot be used ({failure.detail}). Answer again with the corrected JSON object and nothing else."
    )
    return [*messages, {"role": "assistant", "content": text}, {"role": "user", "content": complaint}]


def _answer(payload: Any) -> str:
    """The text of a completion.

    Raises:
        _Fault: if it has none: refused, filtered, empty, cut at the token limit, or no completion at all.
    """
    try:
        choice = payload["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _Fault(LLMFailure("malformed_body", f"no choices: {str(payload)[:200]}"), retriable=True) from error
    failure = None
    if message.get("refusal"):
        failure = LLMFailure("refusal", str(message["refusal"])[:300])
    elif finish == "content_filter":
        failure = LLMFailure("content_filter", "the endpoint filtered the answer")
    elif finish == "length":
        failure = LLMFailure("truncated", "the answer ended at the token limit; raise max_tokens")
    elif not isinstance(text, str) or not text.strip():
        failure = LLMFailure("empty_content", f"the answer's content is {text!r}")
    if failure is not None:
        raise _Fault(failure, retriable=False)
    return text


def _retry_after(response: "Response") -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date; None if it does not say."""
    if (millis := response.headers.get("retry-after-ms", "")).replace(".", "", 1).isdigit():
        return float(millis) / 1000
    said = response.headers.get("Retry-After", "").strip()
    if said.replace(".", "", 1).isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return None


def _extra(name: str) -> ModuleType:
    """Import a package of the extra `api`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"asking a language model needs the package {name}", hint='pip install "unlearn-bench[api]"'
        ) from error


def _or_raise(result: Any) -> Any:
    if isinstance(result, LLMFailure):
        raise LLMError(result)
    return result
