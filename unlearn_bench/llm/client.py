"""The chat client: retries, answers kept on disk, JSON answers checked, failures in their places.

- Retries with exponential back-off and full jitter on 408, 409, 425, 429, 5xx, timeouts, cut connections and replies
  that are no completion; a Retry-After header is obeyed.
- Answers are kept on disk, one file per request, keyed by the hash of endpoint, model, messages and parameters, and
  written atomically: a killed run goes on where it was, and processes may share the folder. Failures are not kept.
- JSON answers are checked against a schema; an answer that does not fit is sent back once with the complaint.
- What still fails is returned as an `LLMFailure` with its reason, in its place. What would fail for every request (a
  refused key, an unknown model, no server, a server that does not answer) stops everything with one error.
- The key is read from the environment and appears in no message, representation or file.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.llm import _http, _reply
from unlearn_bench.llm._ask import Ask
from unlearn_bench.llm._endpoint import DEFAULT_BASE_URL, address, completions_url, read_key, shown
from unlearn_bench.llm._kept import Kept
from unlearn_bench.llm._reply import parse_json
from unlearn_bench.llm._types import (
    Backoff,
    Completion,
    Fault,
    JsonMode,
    LLMFailure,
    Messages,
    PlainText,
    Usage,
)

__all__ = ["ChatClient", "parse_json"]

_log = logging.getLogger(__name__)
_HOPELESS = 8  # requests in a row that the server has failed for good: it will answer none


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
        deadline: Seconds for one whole exchange, however steadily the server sends; None: five times `timeout`.
        grace: Seconds that exchanges under way still have when the run is stopped.
        cache_dir: Where answers are kept; None keeps none.
        prices: Per million prompt tokens and completion tokens.
        progress: Called with (answers so far, answers wanted).

    Raises:
        UserError: if the address is not an http(s) address or contains a password, or the key cannot be sent.
    """

    model: str
    base_url: str = DEFAULT_BASE_URL
    api_key_env: str = "OPENAI_API_KEY"
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.0})
    json_mode: JsonMode = "json_object"
    concurrency: int = 8
    timeout: float = 120.0
    deadline: float | None = None
    grace: float = 5.0
    cache_dir: Path | None = None
    prices: tuple[float, float] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        self.base_url = address(self.base_url)
        self._usage = Usage(cost=None if self.prices is None else 0.0)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reached = False  # the server has replied at all
        self._answered = False  # the model has answered a request
        self._failed_in_row = 0
        if read_key(self.api_key_env) is None and self.base_url == DEFAULT_BASE_URL:
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

    def complete_many(self, requests: Sequence[Messages]) -> "list[str | LLMFailure]":
        """Answers as text, in the order of the requests; a failure takes the place of its answer.

        Equal requests are asked once: to sample again, change the seed in `parameters`.
        """
        answers = self._many([Ask(messages, {}) for messages in requests])
        return [answer if isinstance(answer, LLMFailure) else answer.text for answer in answers]

    def complete_json_many(
        self, requests: Sequence[Messages], *, schema: Mapping[str, Any]
    ) -> "list[dict[str, Any] | LLMFailure]":
        """Answers as JSON objects that fit a schema, in the order of the requests, failures in their places.

        Raises:
            UserError: if no request can succeed; answers received until then are kept in the cache.
        """
        answers = self._many([Ask(messages, {}, schema) for messages in requests])
        return [answer if isinstance(answer, LLMFailure) else json.loads(answer.text) for answer in answers]

    def answers(
        self,
        requests: "Sequence[tuple[Messages | PlainText, Mapping[str, Any]]]",
        on_answer: "Callable[[int, Completion], None]" = lambda _number, _answer: None,
    ) -> "list[Completion | LLMFailure]":
        """What the model says, to be judged: an empty answer, or one cut at the token limit, counts as an answer.

        Args:
            requests: Messages or a plain text, and parameters on top of the client's own.
            on_answer: Called with a request's number and its answer as soon as it is there, by several threads, also
                for answers that arrive while a fatal error ends the call; not for failures.

        Raises:
            UserError: if no request can succeed; answers received until then are kept in the cache.
        """
        return self._many([Ask(messages, parameters, partial=True) for messages, parameters in requests], on_answer)

    def _many(
        self,
        asks: Sequence[Ask],
        on_answer: "Callable[[int, Completion], None]" = lambda _number, _answer: None,
    ) -> "list[Completion | LLMFailure]":
        keys = [self._key(ask) for ask in asks]
        different = dict(zip(keys, asks, strict=True))
        numbers = {key: number for number, key in reversed(list(enumerate(keys)))}
        results: dict[str, Completion | LLMFailure] = {}

        def attempt(ask: Ask, key: str) -> Completion | LLMFailure:
            try:
                answer = self._attempt(ask, key)
                if isinstance(answer, Completion):
                    on_answer(numbers[key], answer)
            except BaseException:
                self._stop.set()  # at once: until the caller learns of it, this thread would start the next request
                raise
            return answer

        self._stop.clear()
        pool = ThreadPoolExecutor(max_workers=max(1, self.concurrency))
        try:
            futures = {pool.submit(attempt, ask, key): key for key, ask in different.items()}
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                if self.progress is not None:
                    self.progress(len(results), len(different))
        finally:  # after Ctrl-C or a fatal error: start nothing more, but store what running requests return
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()
        return [results[key] for key in keys]

    def _attempt(self, ask: Ask, key: str) -> Completion | LLMFailure:
        """From the cache or the endpoint."""
        kept = Kept(self.cache_dir)
        if (stored := kept.read(key)) is not None:
            self._count(cached=1)
            return Completion(stored["text"], stored.get("thinking"), stored.get("finish"))
        try:
            answer = self._text(ask) if ask.schema is None else self._json(ask)
        except Fault as fault:
            self._count(failures=1)
            self._give_up_if_hopeless(fault)
            return fault.failure
        self._failed_in_row = 0
        kept.write(key, model=self.model, text=answer.text, thinking=answer.thinking, finish=answer.finish)
        return answer

    def _give_up_if_hopeless(self, fault: Fault) -> None:
        """End the run if the server fails one request after the other; one that it refuses is that request's matter."""
        failure = fault.failure
        if not fault.by_server or (self._answered and failure.reason.startswith("http_4")):
            return
        with self._lock:
            self._failed_in_row += 1
        if self._failed_in_row < _HOPELESS:
            return
        refused = failure.reason in ("http_400", "http_422")
        said = "answers no request any more" if self._answered else "answers no request"
        raise UserError(
            f"{shown(self.base_url)} {said}: {failure.reason}: {failure.detail}",
            hint="it does not take what is sent; of a judged model, --model-args omit=seed+top_k leaves settings out"
            if refused
            else "look at the server's own log; answers received are kept, and the same command asks for the others",
        ) from None

    def _text(self, ask: Ask) -> Completion:
        answer = self._request(ask)
        return answer._replace(text=_reply.usable(answer, partial=ask.partial))

    def _json(self, ask: Ask) -> Completion:
        """The answer as canonical text, after at most one repair."""
        answer = self._text(ask)
        value = parse_json(answer.text, ask.schema)
        if isinstance(value, LLMFailure) and value.reason != "refusal":
            self._count(repairs=1)
            answer = self._text(ask.repaired(answer.text, value))
            value = parse_json(answer.text, ask.schema)
        if isinstance(value, LLMFailure):
            raise Fault(value.reason, value.detail, retriable=False, by_server=False)
        return answer._replace(text=json.dumps(value, ensure_ascii=False))

    def _body(self, ask: Ask) -> dict[str, Any]:
        return ask.body(self.model, self.parameters, self.json_mode)

    def _request(self, ask: Ask) -> Completion:
        """Try until there is an answer or no hope.

        Raises:
            Fault: if this request has failed for good.
            UserError: if every request would.
        """
        waited = 0.0
        for n in range(1, self.backoff.retries + 2):
            if self._stop.is_set():
                raise Fault("stopped", "another request ended the run", retriable=False, by_server=False)
            self._count(calls=1, retries=int(n > 1))
            try:
                return self._once(ask)
            except Fault as fault:
                waited += self._wait_or_raise(fault, n, waited)
        raise AssertionError("unreachable: the last try either answers or raises")

    def _wait_or_raise(self, fault: Fault, n: int, waited: float) -> float:
        """Wait before the next try; returns the seconds."""
        last, (reason, detail) = n > self.backoff.retries, fault.failure
        if fault.unreachable and not self._reached:
            raise UserError(
                f"nothing answers at {shown(self.base_url)} ({detail})", hint="start the server, or correct its address"
            ) from None
        if fault.retriable and last and reason == "connection":
            raise UserError(
                f"no connection to {shown(self.base_url)} after {n} tries ({detail})",
                hint="start the same command again when the server is back; answers received until now are kept",
            ) from None
        wait = self.backoff.seconds(n, fault.retry_after)
        if not fault.retriable or last or waited + wait > self.backoff.longest_wait:
            raise fault
        tries = self.backoff.retries + 1
        _log.info("%s from %s, try %d of %d in %.1f s", reason, shown(self.base_url), n + 1, tries, wait)
        (self.backoff.sleep or self._stop.wait)(wait)
        return wait

    def _once(self, ask: Ask) -> Completion:
        total = 5 * self.timeout if self.deadline is None else self.deadline
        limits = _http.Limits(silence=self.timeout, total=total, grace=self.grace)
        plain = isinstance(ask.messages, PlainText)
        url = completions_url(self.base_url, "completions" if plain else "chat")
        reply = _http.post(url, self._body(ask), read_key(self.api_key_env), limits, self._stop.is_set)
        self._reached = True
        value = _reply.payload(reply, endpoint=shown(self.base_url), model=self.model, key_env=self.api_key_env)
        self._count_tokens(value)
        answer = _reply.completion(value, ask.messages)._replace(tokens=_reply.tokens(value))
        self._answered = True
        return answer

    def _key(self, ask: Ask) -> str:
        """Hash of everything that can change the answer."""
        form = "as it is" if ask.partial else ask.schema
        return sha256_json([self.base_url, self._body(ask), form])

    def _count(self, **more: float) -> None:
        with self._lock:
            now = self._usage
            self._usage = replace(now, **{name: (getattr(now, name) or 0) + n for name, n in more.items()})

    def _count_tokens(self, value: Mapping[str, Any]) -> None:
        """Count the tokens that the endpoint reports; a refusal costs tokens too."""
        sent, received = _reply.tokens(value)
        self._count(prompt_tokens=sent, completion_tokens=received)
        if self.prices is not None:
            self._count(cost=(sent * self.prices[0] + received * self.prices[1]) / 1e6)
