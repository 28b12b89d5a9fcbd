"""The one place that keeps secrets out of messages, logs and files.

A secret is a value that was registered (the key that a client sends), or that of an environment variable whose name
says so (HF_TOKEN, *_API_KEY, …). It is found as it is, URL-encoded, HTML- or JSON-escaped, as hexadecimal and as
base64 (the Basic scheme), in any letter case, broken by white space, and in parts of 8 characters and more. Messages
also lose what only looks like a secret: Authorization headers, passwords in addresses, keys in queries, tokens with a
known prefix. Always redact first and shorten after: half a key is still a part of one.
"""

import base64
import html
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from urllib.parse import quote, quote_plus

MASK = "***"
_PART = 8  # characters of a secret that must not appear together
# what is written where a key is wanted and none is needed; hiding it would only garble messages
_SHORT = 4
_PLACEHOLDERS = frozenset({"empty", "none", "null", "true", "false", "dummy", "test"})
_READ = 20_000  # characters of a message that are searched
_SECRET_VARIABLE = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
_LOOKS_SECRET = (
    (re.compile(r"(://)[^/\s'\"]*@"), rf"\1{MASK}@"),
    (re.compile(r"((?:authorization|api-key)['\"]?\s*[:=]\s*[b'\"]*(?:[a-z]+\s+)?)[^\s'\",;]+", re.I), rf"\1{MASK}"),
    (re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.I), rf"\1{MASK}"),
    (re.compile(r"([?&][\w-]*(?:key|token|secret|password|sig|signature|auth)=)[^&\s'\"]+", re.I), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk-|hf_|gh[pousr]_|gsk_|xai-|AIza)[\w-]{12,}"), MASK),
)
_CONTROLS = dict.fromkeys([*range(32), 127])
_registered: set[str] = set()


def register(secret: str) -> None:
    """Keep this value out of everything from now on."""
    _registered.add(secret)


def redact(said: object) -> str:
    """A message without secrets.

    >>> redact("POST http://ann:pass@host/v1 failed, headers: {'Authorization': 'Bearer abc'}")
    "POST http://***@host/v1 failed, headers: {'Authorization': 'Bearer ***'}"
    """
    secrets = _secrets()
    text = _mask_parts(str(said), _parts(secrets))
    for secret in secrets:
        if len(secret) < _PART:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    for pattern, masked in _LOOKS_SECRET:
        text = pattern.sub(masked, text)
    return text


def redact_answer(text: str) -> str:
    """A model's answer without secrets: only what surely is part of one goes, not a word that a key has in it too."""
    return _mask_parts(text, frozenset(part for part in _parts(_secrets()) if not part.isalpha()))


def looks_secret(name: str) -> bool:
    """Whether a name, which results keep, has the form of a secret: a password in an address, a key with its prefix.

    >>> looks_secret("http://ann:pass@host/v1"), looks_secret("llama-3")
    (True, False)
    """
    return any(pattern.search(name) for pattern, _ in _LOOKS_SECRET)


def brief(said: object, limit: int = 300) -> str:
    """An external message without secrets, on one line, cut to `limit` characters."""
    try:
        text = str(said)
    except RecursionError:
        text = f"a {type(said).__name__} nested too deeply to show"
    except Exception:  # of a library's own __str__
        text = f"a {type(said).__name__} that cannot be shown"
    # bounds the work; a key that is cut here is still hidden part by part
    return " ".join("".join(c if c.isprintable() else " " for c in redact(text[:_READ])).split())[:limit]


def is_secret_name(name: str) -> bool:
    """Whether a variable or key of this name holds a secret (HF_TOKEN, api-key, …)."""
    return bool(_SECRET_VARIABLE.search(name.replace("-", "_")))


def _secrets() -> frozenset[str]:
    named = {v.strip() for k, v in os.environ.items() if _SECRET_VARIABLE.search(k) and not v.startswith(("/", "~"))}
    return frozenset(s for s in _registered | named if len(s) >= _SHORT and s.lower() not in _PLACEHOLDERS)


@lru_cache(maxsize=8)
def _parts(secrets: frozenset[str]) -> frozenset[str]:
    """Every part of `_PART` characters of every form of the secrets, in lower case, white space left out."""
    forms = {"".join(_visible(form)[0]) for secret in secrets for form in _forms(secret)}
    return frozenset(form[i : i + _PART] for form in forms for i in range(len(form) - _PART + 1))


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1])
    data = secret.encode("utf-8", "surrogateescape")
    yield data.hex()
    for before in range(3):  # base64 depends on how many bytes stand before; the characters at both seams are left out
        coded = base64.b64encode(b"\0" * before + data).decode()
        coded = coded[(0, 2, 3)[before] : len(coded) if coded[-1] != "=" else coded.index("=") - 1]
        yield from (coded, coded.replace("+", "-").replace("/", "_"))


def _visible(text: str) -> tuple[list[str], list[int]]:
    """The visible characters of a text in lower case, and where each stands."""
    places = [i for i, c in enumerate(text) if c.isprintable() and not c.isspace()]
    return [text[i].lower() if len(text[i].lower()) == 1 else text[i] for i in places], places


def _mask_parts(text: str, parts: frozenset[str]) -> str:
    if text.isascii():  # nearly always nothing is there, and this is quick to see
        joined = "".join(text.lower().translate(_CONTROLS).split())
        if not any(part in joined for part in parts):
            return text
    visible, places = _visible(text)
    joined = "".join(visible)
    pieces, copied, hidden_to = [], 0, -1
    for i in range(len(joined) - _PART + 1):
        if joined[i : i + _PART] not in parts:
            continue
        if places[i] > hidden_to:
            pieces += [text[copied : places[i]], MASK]
        hidden_to = places[i + _PART - 1]
        copied = hidden_to + 1
    return "".join([*pieces, text[copied:]])


@contextmanager
def guarded() -> Iterator[None]:
    """Within: log records carry no secrets. From now on: nor tracebacks of uncaught errors."""
    sys.excepthook = _excepthook
    make = logging.getLogRecordFactory()

    def record(*args: object, **kwargs: object) -> logging.LogRecord:
        made = make(*args, **kwargs)
        made.msg, made.args = redact(made.getMessage()), ()
        if made.exc_info and made.exc_info[0] is not None:
            made.exc_text = redact("".join(traceback.format_exception(*made.exc_info))).rstrip()
        return made

    logging.setLogRecordFactory(record)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
