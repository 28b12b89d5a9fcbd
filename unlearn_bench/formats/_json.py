"""JSON that others wrote, read with the place of everything kept, so that a bad row can be named and the others used.

The whole text is held; sizes are limited first. Invalid UTF-8 and repeated keys invalidate their row,
not the file. NaN is accepted, as Python programs write it for the losses of a collapsed model; the reader of a number
checks it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unlearn_bench.errors import UserError, fault

MIB = 1 << 20
MAX_FILE = 1024 * MIB
MAX_ROW = 16 * MIB
# The keys under which an object of other programs holds its rows.
HOLDERS = (
    "data", "results", "rows", "samples", "items", "responses", "generations", "predictions", "outputs", "examples",
)  # fmt: skip
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Record(dict):
    """A JSON object that knows whether it was given a key twice (then the first such key)."""

    repeated: str | None = None


class Row(NamedTuple):
    """One row of a file: where it is ("file:line"), its value, or why it has none."""

    where: str
    value: object
    error: str | None = None


def _object(pairs: list[tuple[str, object]]) -> Record:
    record = Record(pairs)
    if len(record) != len(pairs):
        seen: set[str] = set()
        record.repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
    return record


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def has_surrogates(text: str) -> bool:
    """Whether a text holds bytes that were not UTF-8."""
    return _SURROGATE.search(text) is not None


def clean(text: str) -> str:
    r"""Put U+FFFD for halves of surrogate pairs, which JSON escapes can say and UTF-8 cannot.

    >>> clean("a\ud83db")
    'a\ufffdb'
    """
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _has_text(record: Mapping[str, object]) -> bool:
    return any(isinstance(value, str) for value in record.values())


def rows(text: str, path: Path, is_row: Callable[[Mapping[str, object]], bool] = _has_text) -> Iterator[Row]:
    """The elements of a JSON array, of JSON lines (also printed over several lines), or of an object that holds rows.

    An object holds rows under one of `HOLDERS`, or as the values of numbered keys ({"0": {...}, "1": {...}}).

    Args:
        text: The whole file.
        path: Its name, for messages.
        is_row: Whether an object that is the whole file is itself a row.

    Raises:
        UserError: if the text is one JSON object that holds no rows.
    """
    start = _SPACE.match(text).end()
    if text[start] == "[":
        return _member_rows(text, start, path, whole=True)
    try:
        first, end = _decode(text, start)
    except json.JSONDecodeError:
        return _line_rows(text, path)
    alone = _SPACE.match(text, end).end() == len(text)
    if alone and isinstance(first, Record) and not is_row(first):
        place = _place_of_rows(text, start, first)
        if place is not None:
            return _member_rows(text, place, path, whole=False)
        if not _has_text(first):
            raise UserError(
                f"{path}: one JSON object that holds no rows (its keys: {', '.join(list(first)[:12])})",
                hint=f"expected an array, one object a line, or rows under one of {', '.join(HOLDERS)}",
            )
    return _object_rows(text, start, path) if "\n" in text[start:end] else _line_rows(text, path)


def _place_of_rows(text: str, start: int, document: Mapping[str, object]) -> int | None:
    """Where the array or object begins that holds the rows of a document; None if it holds none."""
    if document and all(key.isdecimal() and isinstance(value, dict) for key, value in document.items()):
        return start
    for key, offset, _, value in members(text, start):
        held = list(value.values()) if isinstance(value, dict) else value
        if key in HOLDERS and isinstance(held, list) and held and all(isinstance(item, dict) for item in held):
            return offset
    return None


def _member_rows(text: str, start: int, path: Path, *, whole: bool) -> Iterator[Row]:
    """The members of the array or object at `start`; `whole`: nothing may follow it."""
    line, counted, end = text.count("\n", 0, start) + 1, start, start + 1
    try:
        for _, offset, end, value in members(text, start):
            line, counted = line + text.count("\n", counted, offset), offset
            yield _row(f"{path}:{line}", text[offset:end], value)
        rest = _SPACE.match(text, _SPACE.match(text, end).end() + 1).end()
        if whole and rest != len(text):
            raise json.JSONDecodeError("Extra data", text, rest)
    except json.JSONDecodeError as error:
        yield Row(f"{path}:{error.lineno}", None, f"not JSON: {fault(error)}; what follows could not be read")


def _object_rows(text: str, start: int, path: Path) -> Iterator[Row]:
    """Objects one after the other, each over several lines."""
    line, counted = 1, 0
    try:
        while start < len(text):
            line, counted = line + text.count("\n", counted, start), start
            value, end = _decode(text, start)
            yield _row(f"{path}:{line}", text[start:end], value)
            start = _SPACE.match(text, end).end()
    except json.JSONDecodeError as error:
        yield Row(f"{path}:{error.lineno}", None, f"not JSON: {fault(error)}; what follows could not be read")


def _line_rows(text: str, path: Path) -> Iterator[Row]:
    # not splitlines(): U+2028 and the like are ordinary characters inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        if len(line) > MAX_ROW:
            yield Row(where, None, f"a row longer than {MAX_ROW // MIB} MiB")
            continue
        try:
            yield _row(where, line, load(line))
        except json.JSONDecodeError as error:
            yield Row(where, None, f"not JSON: {fault(error)} at column {error.colno}")


def _row(where: str, raw: str, value: object) -> Row:
    if len(raw) > MAX_ROW:
        return Row(where, None, f"a row longer than {MAX_ROW // MIB} MiB")
    if _SURROGATE.search(raw):
        return Row(where, None, "not UTF-8")
    if not isinstance(value, Record):
        return Row(where, None, f"expected an object, got {_kind(value)}")
    if place := _repeated(value):
        return Row(where, None, f"the key {place[-1][:80]!r} is given twice")
    return Row(where, value)


def load(text: str) -> object:
    """Parse one JSON value; every fault raises JSONDecodeError."""
    start = _SPACE.match(text).end()
    value, end = _decode(text, start)
    rest = _SPACE.match(text, end).end()
    if rest != len(text):
        raise json.JSONDecodeError("Extra data", text, rest)
    return value


def _decode(text: str, start: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, start) from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # an integer with thousands of digits
        raise json.JSONDecodeError(str(error).partition(";")[0], text, start) from None


def load_document(text: str, path: Path) -> Record:
    """Parse a whole file that is one JSON object.

    Raises:
        UserError: naming the line, if it is anything else, is not UTF-8, or gives a key twice anywhere.
    """
    bad = _SURROGATE.search(text)
    if bad:
        raise UserError(f"{path}:{text.count(chr(10), 0, bad.start()) + 1}: not UTF-8")
    try:
        document = load(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {fault(error)} at column {error.colno}") from None
    if not isinstance(document, Record):
        raise UserError(f"{path}: expected an object, got {_kind(document)}")
    place = _repeated(document)
    if place:
        where = f"{path}:{line_of(text, place[:-1])}"
        raise UserError(f"{where}: the key {place[-1][:80]!r} is given twice", hint="keep only one of them")
    return document


def _repeated(value: object) -> list[str | int] | None:
    """Path to the first key that is given twice."""
    if isinstance(value, Record) and value.repeated is not None:
        return [value.repeated]
    if not isinstance(value, (dict, list)):
        return None
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if place := _repeated(item):
            return [key, *place]
    return None


def members(text: str, start: int) -> Iterator[tuple[str | int, int, int, object]]:
    """(key or index, start, end, value) of each member of the array or object that starts at `start`.

    Raises:
        json.JSONDecodeError: at the first syntax error, after the members before it.
    """
    closing = {"[": "]", "{": "}"}[text[start]]
    position = _SPACE.match(text, start + 1).end()
    index = 0
    while text[position : position + 1] != closing or index:
        key: str | int = index
        if closing == "}":
            key, position = _decode(text, position)
            position = _expect(text, _SPACE.match(text, position).end(), ":")
        value, end = _decode(text, position)
        yield key, position, end, value
        index += 1
        position = _SPACE.match(text, end).end()
        if text[position : position + 1] == closing:
            return
        position = _expect(text, position, ",")


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise json.JSONDecodeError(f"Expecting {character!r}", text, position)
    return _SPACE.match(text, position + 1).end()


def line_of(text: str, place: Sequence[str | int]) -> int:
    """Line on which the value at a path of keys and indices starts, in a text that is known to parse."""
    position = _SPACE.match(text).end()
    for key in place:
        position = next(offset for name, offset, _, _ in members(text, position) if name == key)
    return text.count("\n", 0, position) + 1


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        Record: "an object",
        list: "an array",
        str: "text",
        type(None): "null",
        bool: "a truth value",
    }
    return names.get(type(value), "a number")
