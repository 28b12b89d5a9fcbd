"""Reading untrusted JSON, and writing JSON that a reviewer can read.

`json.loads` accepts NaN, infinity, repeated keys, integers of any length and nesting up to the recursion limit; each of
these can make two readers see two different documents, or none. Here they are refused, with the reason, and the size is
checked before anything is parsed.
"""

import json
import math
import re
from pathlib import Path

from unlearn_bench.errors import UserError, fault
from unlearn_bench.files import IrregularFileError, open_regular
from unlearn_bench.untrusted import strings

MIB = 1 << 20
MAX_DEPTH = 24
MAX_INTEGER = 2**53  # above this, a reader that keeps numbers as doubles (any browser) sees another number
_LINE_WIDTH = 160  # a metric with its interval and counts fits one line
_SURROGATE = re.compile("[\ud800-\udfff]")


class Refused(ValueError):
    """The text is not acceptable JSON; the message says why."""


def read_text(path: Path, *, limit: int, what: str, hint: str | None = None) -> str:
    """Read a regular file of at most `limit` bytes as UTF-8; `hint` says what to do where it is missing.

    Raises:
        UserError: if it is missing, not a regular file (a device or pipe would never end), too big, or not UTF-8.
    """
    name = strings.shown(str(path))  # an error must not carry what a file is called into a terminal or a CI log
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise UserError(f"{what} {name} does not exist", hint=hint) from None
    except IrregularFileError:
        raise UserError(f"{what} {name} is not a regular file") from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{what}: not a file name: {str(path)!r} ({error})") from None
    if len(data) > limit:
        raise UserError(f"{what} {name} is larger than the limit of {limit / MIB:g} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {name} is not UTF-8: byte {error.start} ({error.reason})") from None


def parse(text: str) -> object:
    """Parse JSON strictly.

    Raises:
        Refused: for a syntax error, NaN or infinity, a repeated key, a number out of range, a lone surrogate, or
            nesting deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise Refused(f"not JSON: {fault(error)} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels") from None
    _check_values(value)
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise Refused(f"the key {repeated[:80]!r} is given twice")
    return result


def _constant(name: str) -> float:
    raise Refused(f"{name} is not a JSON number")


def _float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise Refused(f"the number {literal[:40]} is out of range")
    return value


def _integer(literal: str) -> int:
    if len(literal) > 20 or abs(int(literal)) > MAX_INTEGER:
        raise Refused(f"the integer {literal[:40]} is out of range (at most 2^53)")
    return int(literal)


def _check_values(value: object, depth: int = 0) -> None:
    """Refuse deep nesting (everything that walks the document later recurses) and half characters."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise Refused("a string holds half of a surrogate pair, which UTF-8 cannot say")
        return
    if not isinstance(value, (dict, list)):
        return
    if depth == MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        _check_values("".join(value), depth)
        value = value.values()
    for item in value:
        _check_values(item, depth + 1)


def pretty(value: object) -> str:
    """One stable text per value: what fits a line stays on it, so that a changed number is a changed line.

    >>> print(pretty({"b": [1, 2], "a": {"x": None}}), end="")
    {"b": [1, 2], "a": {"x": null}}
    """
    return _render(value, indent=0, used=0) + "\n"


def _render(value: object, indent: int, used: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or not value or used + len(flat) <= _LINE_WIDTH:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        lines = [
            pad + key + _render(item, indent + 1, len(pad) + len(key))
            for key, item in zip(keys, value.values(), strict=True)
        ]
        opening, closing = "{", "}"
    else:
        lines = [pad + _render(item, indent + 1, len(pad)) for item in value]
        opening, closing = "[", "]"
    return f"{opening}\n" + ",\n".join(lines) + f"\n{' ' * indent}{closing}"
