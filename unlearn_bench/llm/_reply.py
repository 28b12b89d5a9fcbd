"""What a reply says: one completion, a fault of this request, or an error for all requests."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from unlearn_bench.errors import UserError
from unlearn_bench.llm._http import Reply
from unlearn_bench.llm._types import NO_ECHO, Completion, Echo, Fault, LLMFailure, Messages, PlainText, extra
from unlearn_bench.redact import brief, redact_answer

_RETRIED_STATUS = frozenset({408, 409, 425, 429})
_FATAL_STATUS = frozenset({401, 402, 403, 404})
_REFUSAL = re.compile(
    r"^\W*(i\W?m (very )?sorry|sorry|i (can ?not|can\Wt|won\Wt)|as an ai\b|i\W?m (not able|unable))", re.I
)
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.S | re.I)
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{0,9})?")
_ROUNDING = 1e-3  # of a log-probability of 0
_LEAST = -1e30  # JSON knows larger numbers than a float does
_MOST_TOKENS = 10**9  # a larger count for one answer is implausible and ignored


def payload(reply: Reply, *, endpoint: str, model: str, key_env: str) -> dict[str, Any]:
    """The JSON object of a good reply.

    Args:
        reply: As it came.
        endpoint: The address as messages show it.
        model: Its name at the endpoint.
        key_env: The variable that holds the key.

    Raises:
        Fault: if this request has failed.
        UserError: if every request would: a refused key, an unknown model, a redirect, an empty account.
    """
    if reply.status != 200:
        _refuse(reply, endpoint, model, key_env)
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise Fault("malformed_body", f"not JSON ({brief(error, 80)}): {_text(reply)}", retriable=True) from None
    if not isinstance(value, dict):
        raise Fault("malformed_body", f"expected a JSON object, got {type(value).__name__}", retriable=True)
    if value.get("error"):
        raise Fault("server_error", _error_text(value), retriable=True)
    return value


def _refuse(reply: Reply, endpoint: str, model: str, key_env: str) -> NoReturn:
    status, said = reply.status, _said(reply)
    if 300 <= status < 400:
        raise UserError(
            f"{endpoint} redirects (HTTP {status}); a key is not sent on to another address",
            hint=f"give the address that it redirects to: {brief(reply.headers.get('Location', 'not named'), 200)}",
        )
    if status in _FATAL_STATUS or "insufficient_quota" in said:
        raise UserError(
            f"{endpoint} refuses every request: HTTP {status} for model {model!r}: {said}",
            hint=f"check the key in {key_env}, the model's name and the address",
        )
    reason = "rate_limited" if status == 429 else f"http_{status}"
    retriable = status in _RETRIED_STATUS or status >= 500
    raise Fault(reason, said, retriable=retriable, retry_after=retry_after(reply.headers))


def _text(reply: Reply) -> str:
    return brief(reply.body[:16_384].decode("utf-8", "replace"))


def _said(reply: Reply) -> str:
    """What an error's body says: its message where it is JSON as usual, else its beginning."""
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        return _text(reply)
    return _error_text(value) if isinstance(value, dict) else _text(reply)


def _error_text(value: Mapping[str, Any]) -> str:
    error = value.get("error") or value
    if not isinstance(error, dict):
        return brief(error)
    parts = [error[key] for key in ("code", "message", "detail") if isinstance(error.get(key), str | int)]
    return brief(": ".join(map(str, parts)) or error)


def completion(value: Mapping[str, Any], asked: Messages | PlainText = ()) -> Completion:
    """The one completion that was asked for.

    Args:
        value: The reply.
        asked: What it replies to: a plain text is continued or echoed.

    Raises:
        Fault: unless there is exactly one, in the expected form: otherwise it is unclear whose answer it is.
    """
    choices = value.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise Fault("malformed_body", f"{count} choices, asked for 1: {brief(value)}", retriable=True)
    choice = choices[0]
    if choice.get("index", 0) not in (0, None):
        raise Fault("malformed_body", f"choice number {brief(choice['index'], 20)}, asked for 0", retriable=True)
    if isinstance(asked, PlainText):
        return _continuation(choice) if asked.echoed is None else _echoed(choice, asked.echoed)
    message = choice.get("message")
    if not isinstance(message, dict) or not isinstance(text := message.get("content"), str | None):
        raise Fault("malformed_body", f"no text in the answer: {brief(choice)}", retriable=True)
    thinking = message.get("reasoning_content") or message.get("reasoning")
    refusal, finish = message.get("refusal"), choice.get("finish_reason")
    return Completion(
        text=None if text is None else _clean(text),
        thinking=_clean(thinking) if isinstance(thinking, str) else None,
        finish=finish if isinstance(finish, str) else None,
        refusal=brief(refusal) if refusal else None,
    )


def _continuation(choice: Mapping[str, Any]) -> Completion:
    text, finish = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str):
        raise Fault("malformed_body", f"no text in the answer: {brief(choice)}", retriable=True)
    return Completion(_clean(text), finish=finish if isinstance(finish, str) else None)


def _echoed(choice: Mapping[str, Any], count: int) -> Completion:
    """What is said of the tokens of a given text, the first apart, which nothing precedes.

    Args:
        choice: With one log-probability for each token, and perhaps that of one more, which the model went on with.
        count: Of tokens that were given.

    Raises:
        Fault: `NO_ECHO` if the endpoint gives no log-probabilities of a given text, or others than were asked for.
    """
    given = choice.get("logprobs")
    told = given.get("token_logprobs") if isinstance(given, dict) else None
    if not isinstance(told, list) or (len(told) <= 1 < count - 1):
        raise Fault(NO_ECHO, "the reply has no log-probabilities of the given text", retriable=False, by_server=False)
    if len(told) not in (count, count + 1):
        said = f"log-probabilities of {len(told)} tokens, and the text has {count}"
        raise Fault("malformed_logprobs", said, retriable=True)
    logprobs = told[1:count]
    if wrong := [x for x in logprobs if not _is_number(x) or x > _ROUNDING]:
        raise Fault("malformed_logprobs", f"{brief(wrong[0], 40)} is no log-probability", retriable=True)
    text = choice.get("text")
    hits = _hits(logprobs, given.get("top_logprobs"))
    echo = Echo([float(max(x, _LEAST)) for x in logprobs], hits, _clean(text) if isinstance(text, str) else "")
    return Completion(json.dumps(echo._asdict()))


def _hits(logprobs: list[float], top: object) -> list[bool] | None:
    """Whether each token is as probable as the best that is named at its place; None where a place names none."""
    best = top[1 : len(logprobs) + 1] if isinstance(top, list) else []
    if len(best) != len(logprobs) or not all(isinstance(one, dict) and one for one in best):
        return None
    if not all(_is_number(x) for one in best for x in one.values()):
        return None
    return [mine >= max(one.values()) for mine, one in zip(logprobs, best, strict=True)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def usable(said: Completion, *, partial: bool) -> str:
    """The text of a completion.

    Args:
        said: The completion.
        partial: Whether an answer cut at the token limit, and one of no characters, is an answer; and whether thoughts
            without an answer are handed on, as an empty text.

    Raises:
        Fault: if it is refused, filtered, empty, or cut at the token limit.
    """
    text, blank = said.text or "", not (said.text or "").strip()
    reason, detail = None, ""
    if said.refusal is not None:
        reason, detail = "refusal", said.refusal
    elif said.finish == "content_filter":
        reason, detail = "content_filter", "the endpoint filtered the answer"
    elif said.finish == "length" and not partial:
        reason, detail = "truncated", "the answer ended at the token limit; raise max_tokens"
    elif blank and said.thinking and not partial:
        reason, detail = "only_reasoning", "the model reasoned and gave no answer; raise max_tokens"
    elif blank and not said.thinking and (said.text is None or not partial):
        reason, detail = "empty_content", f"the answer's content is {said.text!r}"
    if reason is not None:
        raise Fault(reason, detail, retriable=False, by_server=False)
    return text


def tokens(value: Mapping[str, Any]) -> tuple[int, int]:
    """(prompt, completion) tokens that the endpoint counted; 0 where they are not valid counts."""
    usage = value.get("usage")
    said = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else [0, 0]
    good = [isinstance(n, int | float) and 0 <= n <= _MOST_TOKENS for n in said]  # neither NaN nor infinity is
    sent, received = (int(n) if ok else 0 for n, ok in zip(said, good, strict=True))
    return sent, received


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date; None if it says nothing that can be read.

    >>> retry_after({"Retry-After": "1.5"}), retry_after({"Retry-After": "²"})
    (1.5, None)
    """
    millis, said = (headers.get(name, "").strip() for name in ("retry-after-ms", "Retry-After"))
    if _SECONDS.fullmatch(millis):
        return float(millis) / 1000
    if _SECONDS.fullmatch(said):
        return float(said)
    try:
        when = parsedate_to_datetime(said)
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_json(text: str, schema: Mapping[str, Any]) -> "dict[str, Any] | LLMFailure":
    """A model's answer as a JSON object that fits `schema`, or what is wrong with it.

    A Markdown fence around the whole answer is taken off; nothing else is repaired. Secrets and half characters, which
    JSON can spell so that only its reader sees them, are taken out of its texts.

    >>> parse_json('{"verdict": "yes"}', {"required": ["verdict"]})
    {'verdict': 'yes'}
    """
    jsonschema = extra("jsonschema")
    fenced = _FENCE.match(text.strip())
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "refusal" if _REFUSAL.match(text) else "malformed_json"
        return LLMFailure(reason, brief(f"{brief(error, 80)}: {text[:1000]!r}"))
    if not isinstance(value, dict):
        return LLMFailure("schema_mismatch", f"expected a JSON object, got {type(value).__name__}")
    try:
        jsonschema.validate(value, dict(schema))
        return _cleaned(value)
    except jsonschema.ValidationError as error:
        return LLMFailure("schema_mismatch", brief(f"{error.json_path}: {error.message[:10_000]}"))
    except RecursionError:
        return LLMFailure("schema_mismatch", "the object is nested too deeply")


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    """Without secrets, and with half characters replaced, which no UTF-8 file can hold."""
    return redact_answer(text.encode("utf-8", "replace").decode("utf-8"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
