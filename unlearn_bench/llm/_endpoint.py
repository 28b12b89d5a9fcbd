"""The address of an endpoint and its key: read once, checked, and never shown."""

import os
import re
from urllib.parse import parse_qsl, urlsplit

from unlearn_bench.errors import UserError
from unlearn_bench.redact import brief, register

DEFAULT_BASE_URL = "https://api.openai.com/v1"
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
_SECRET_FIELD = re.compile(r"key|token|secret|password|sig|auth|credential", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")


def address(given: str) -> str:
    """An endpoint's base address, whichever way it was written: with or without /completions, slash, /v1.

    >>> address("http://localhost:8000/v1/chat/completions/"), address("http://localhost:8000")
    ('http://localhost:8000/v1', 'http://localhost:8000/v1')

    Raises:
        UserError: if it is not an http(s) address, or contains a password or a key.
    """
    given = str(given).strip()
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port  # the port is checked when it is read
    except ValueError:
        host, parts = None, None
    if parts is not None and ("@" in parts.netloc or _hides_a_key(parts.query)):
        for secret in (parts.netloc.rpartition("@")[0], parts.password, *dict(parse_qsl(parts.query)).values()):
            register(secret or "")
        raise UserError(
            "the endpoint's address holds a password or a key, which addresses do not keep to themselves",
            hint=f"write it without ({parts.scheme}://{parts.netloc.rpartition('@')[2]}/…) and export the key instead",
        )
    plain = given.isascii() and given.isprintable() and " " not in given
    if not host or parts.scheme not in ("http", "https") or parts.fragment or not plain:
        raise UserError(f"{brief(given, 100)!r} is not an http address", hint="example: http://localhost:8000/v1")
    path = parts.path.rstrip("/")
    for ending in PATHS.values():
        path = path.removesuffix(ending).rstrip("/")
    path = path or "/v1"
    return parts._replace(path=path).geturl()


def _hides_a_key(query: str) -> bool:
    return any(_SECRET_FIELD.search(name) for name, _ in parse_qsl(query, keep_blank_values=True))


def completions_url(base_url: str, kind: str = "chat") -> str:
    """Where completions of an endpoint are asked for, one of `PATHS`; a query (`?api-version=…`) stays at the end."""
    parts = urlsplit(base_url)
    return parts._replace(path=parts.path + PATHS[kind]).geturl()


def shown(base_url: str) -> str:
    """An address as messages show it: without its query."""
    return brief(urlsplit(base_url)._replace(query="").geturl(), 200)


def read_key(variable: str) -> str | None:
    """The key in an environment variable, without surrounding white space; None if unset.

    Raises:
        UserError: for an invalid variable name, or a key with characters that an HTTP header cannot hold.
    """
    if variable not in os.environ and not _VARIABLE.fullmatch(variable):
        raise UserError(
            "the key's environment variable is named by its NAME in capital letters; a key itself is never an option",
            hint="export OPENAI_API_KEY=…, and give no key on the command line",
        )
    key = os.environ.get(variable, "").strip()
    register(key)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(
            f"the key in {variable} holds a character that no key has (not ASCII, a space or a control character)",
            hint=f"export {variable} again: paste the key alone, on one line",
        )
    return key or None
