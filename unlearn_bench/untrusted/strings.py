"""What untrusted text may hold: nothing that hides, reorders, or breaks the line it is printed on.

Control characters move a terminal's cursor, direction overrides make a name read as another, zero-width characters make
two names look alike. Markup is allowed here, because every writer escapes for its own format: a name may be `<b>`.
"""

import re
import unicodedata
from urllib.parse import urlsplit

from unlearn_bench.errors import UserError
from unlearn_bench.untrusted import naming

MAX_NAME = naming.MAX_NAME
MAX_NOTES = 2_000
MAX_URL = 500
MAX_STRING = 20_000
MAX_KEY = 200
MAX_ITEMS = 5_000
# Cc control, Cf format (direction overrides, zero-width), Cs surrogate, Co private use, Cn unassigned, Zl/Zp line ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = re.compile(r"[ -~]*")  # most strings are ASCII: one quick look instead of one look-up per character
_URL_UNSAFE = re.compile(r"[\s\"'<>`\\{}|^]")


def hidden_character(text: str, *, allowed: str = "") -> str | None:
    """The first character that a reader could not see, as U+XXXX; None if there is no such character."""
    if _PLAIN.fullmatch(text):
        return None
    for character in text:
        if unicodedata.category(character) in _HIDDEN and character not in allowed:
            return f"U+{ord(character):04X}"
    return None


def shown(text: str) -> str:
    r"""The text as a message may show it: what cannot be seen is written out.

    >>> shown("a\u202eb")
    'a\\u202eb'
    """
    if hidden_character(text) is None:
        return text
    return "".join(c if hidden_character(c) is None else repr(c)[1:-1] for c in text)


def text_problem(text: str, *, limit: int, allowed: str = "\n\t") -> str | None:
    """Why a text is not acceptable, or None."""
    if len(text) > limit:
        return f"longer than {limit:,} characters"
    hidden = hidden_character(text, allowed=allowed)
    return f"holds the invisible or control character {hidden}" if hidden else None


def check_name(name: str) -> str:
    """The name of an entry in its normal form (NFC).

    Raises:
        UserError: if `naming.problem` finds something in it.
    """
    normal = unicodedata.normalize("NFC", name)
    problem = naming.problem(normal, limit=MAX_NAME)
    if problem:
        raise UserError(f"--name {shown(name[:40])!r} {problem}")
    return normal


def name_key(name: str) -> str:
    """What two names must not share: compatibility form, case and spaces removed."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def check_url(url: str, flag: str) -> str:
    """A web address that is safe in an attribute and honest about its host.

    Raises:
        UserError: if it is not http(s), has no host, carries a user name, or holds a character that needs escaping.
    """
    problem = url_problem(url)
    if problem:
        raise UserError(f"{flag}: {shown(url[:80])!r} is not accepted: {problem}")
    return url


def url_problem(url: str) -> str | None:
    """Why a text is not a web address that a page may link to, or None."""
    if len(url) > MAX_URL:
        return f"longer than {MAX_URL} characters"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"not a web address ({error})"
    if parts.scheme not in ("http", "https"):
        return "a web address must begin with https:// or http://"
    if not host or "." not in host:
        return "it names no host"
    if "@" in parts.netloc:
        return "it carries a user name"
    if _URL_UNSAFE.search(url) or hidden_character(url) or not url.isascii():
        return "it holds a character that a web address must escape (%XX)"
    return None


def problems_in(value: object, where: str = "") -> list[str]:
    """Every string, key and container of a document that is too long or holds what cannot be seen.

    Args:
        value: Parsed JSON.
        where: Path to the value, for the messages.
    """
    if isinstance(value, str):
        problem = text_problem(value, limit=MAX_STRING)
        return [f"{where or 'the document'}: {problem}"] if problem else []
    if not isinstance(value, (dict, list)):
        return []
    if len(value) > MAX_ITEMS:
        return [f"{where or 'the document'}: more than {MAX_ITEMS:,} items"]
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        bad = text_problem(key, limit=MAX_KEY, allowed="") if isinstance(key, str) else None
        if bad:
            found.append(f"{where or 'the document'}: a key is not accepted: {bad}")
        else:
            found += problems_in(item, f"{where}.{key}" if where else str(key))
    return found
