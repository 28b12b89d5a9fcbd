"""What an entity says, in any notation: a date, a time, an amount, a number or address that names one thing.

`special_spans` finds these in a text and writes each in one notation; `read` reads an entity from anywhere (a rule, a
language model, a file) in the same way; `same` says whether two of them are one. Each kind has its own file: dates,
times, quantities (numbers), identifiers (streets).
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from unlearn_bench.text import vocabulary
from unlearn_bench.text.dates import Reading, find_dates, parse_date, same_date
from unlearn_bench.text.identifiers import (
    find_addresses,
    find_codes,
    find_emails,
    find_links,
    find_phones,
    same_address,
    same_phone,
)
from unlearn_bench.text.numbers import ORDINALS, plain
from unlearn_bench.text.quantities import Quantity, find_quantities, parse_quantity, same_quantity
from unlearn_bench.text.streets import in_full
from unlearn_bench.text.times import find_times, parse_time

Kind = Literal["e-mail", "link", "title", "date", "time", "address", "phone", "code", "number", "name", "word"]
Span = tuple[int, int, str, Kind]

_TITLE = re.compile(r'"\s?([^"\n]{2,160}?)\s?"' + r"|(?<![\w'])'(?=[^\s'])([^\n]{2,160}?)'(?![\w'])")
_ESCAPED = re.compile(r"\\([_*#.-])")  # Markdown
_INITIALS = re.compile(r"(?<![\w.])(?:[A-Z]\.){2,4}(?=\s[A-Z][a-z])")
_ORDINALS = {name: str(number) for name, number in ORDINALS.items() if 2 <= number <= 22}


class Value(NamedTuple):
    """An entity that is a value.

    Attributes:
        kind: Which kind.
        text: In one notation.
        dates, times, quantity: Its readings, where it is one.
    """

    kind: Kind
    text: str
    dates: frozenset[Reading] = frozenset()
    times: frozenset[str] = frozenset()
    quantity: Quantity | None = None


@lru_cache(maxsize=2048)
def standard(text: str) -> str:
    """A text as every rule reads it: cleaned, places in full, initials apart.

    >>> standard("“Elm St.”, U.K.")
    '"Elm Street", United Kingdom'
    """
    return _INITIALS.sub(
        lambda m: m[0].replace(".", ". ").rstrip(), in_full(vocabulary.clean(_ESCAPED.sub(r"\1", text)))
    )


@lru_cache(maxsize=4096)  # a text is read for its entities, its values and its statements
def special_spans(text: str) -> tuple[Span, ...]:
    """(start, end, entity, kind) of every title and value in a cleaned text, in order."""
    found: tuple[tuple[Kind, Iterable[tuple[int, int, str]]], ...] = (
        ("e-mail", find_emails(text)),
        ("link", find_links(text)),
        ("title", _titles(text)),
        ("date", find_dates(text)),
        ("time", find_times(text)),
        ("address", find_addresses(text)),
        ("code", find_codes(text)),
        ("phone", find_phones(text)),
        ("number", find_quantities(text)),
    )
    taken: list[Span] = []
    for kind, spans in found:
        taken = _add(taken, [(*span, kind) for span in spans])
    return tuple(taken)


def _titles(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TITLE.finditer(text):
        title = (match.group(1) or match.group(2)).strip(" ,.;")
        if title[:1].isupper() or title[:1].isdigit():
            yield match.start(), match.end(), title


def _add(taken: list[Span], found: list[Span]) -> list[Span]:
    """Add the spans that overlap none taken before; one merge, so linear in the number of spans."""
    result: list[Span] = []
    rest = iter(sorted(taken))
    ahead = next(rest, None)
    end = 0
    for span in sorted(found):
        while ahead is not None and ahead[0] < span[1]:
            end = max(end, ahead[1])
            result.append(ahead)
            ahead = next(rest, None)
        if span[0] >= end:
            result.append(span)
            end = span[1]
    if ahead is not None:
        result.append(ahead)
    return result + list(rest)


@lru_cache(maxsize=65536)
def read(entity: str) -> Value | None:
    """The value that an entity is, in any notation; None for names, titles and words.

    >>> read("30 juin 1975").text, read("£55k").text, read("Ann Lee")
    ('1975-06-30', '£55000', None)
    """
    text = standard(entity).strip()
    if len(text) > 200 or not text:
        return None
    text = _ORDINALS.get(text.lower(), text)
    spans = [span for span in special_spans(text) if span[3] != "title"]
    if len(spans) != 1 or spans[0][0] != 0 or text[spans[0][1] :].strip(" .,;)"):
        return None
    _, _, value, kind = spans[0]
    return Value(kind, value, parse_date(value), parse_time(value), parse_quantity(value) if kind == "number" else None)


def terms(value: Value) -> set[str]:
    """Two values that share none of these are not the same, so they are never compared."""
    found = {f"date {month}" for _, month, _ in value.dates} | {f"= {year}" for year, _, _ in value.dates}
    found |= {f"time {time}" for time in value.times}
    if value.quantity:
        found |= {f"= {plain(v)}" for v in value.quantity.values | value.quantity.bare} | {f"v{value.quantity.written}"}
    digits = re.sub(r"\D", "", value.text.partition(" ")[0])
    if value.kind == "phone" or (value.kind == "number" and len(digits) >= 7):
        found.add(f"line {digits[-7:]}")
    if value.kind == "address":
        found.add(f"house {value.text.casefold().partition(' unit ')[0]}")
    return found or {value.text.casefold()}


def same(wanted: Value, found: Value) -> bool:
    """Whether `found` says all that `wanted` says.

    >>> pairs = [("97 per cent", "97%"), ("7:30 p.m.", "19:30"), ("1975", "June 30, 1975"), ("June 30, 1975", "1975")]
    >>> [same(read(a), read(b)) for a, b in pairs]
    [True, True, True, False]
    """
    if wanted.text.casefold() == found.text.casefold():
        return True
    if wanted.dates or found.dates:
        if wanted.dates and found.dates:
            return same_date(wanted.dates, found.dates)
        return (
            not wanted.dates and wanted.quantity is not None and any(wanted.text == str(y) for y, _, _ in found.dates)
        )
    if wanted.times and found.times:
        return not wanted.times.isdisjoint(found.times)
    if wanted.quantity and found.quantity:
        return same_quantity(wanted.quantity, found.quantity)
    if {wanted.kind, found.kind} <= {"phone", "number"}:
        return same_phone(wanted.text, found.text)
    return wanted.kind == found.kind == "address" and same_address(wanted.text, found.text)


def any_same(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a value of one side says what a value of the other says; only values that share a term are compared."""
    postings: dict[str, list[Value]] = {}
    for value in filter(None, map(read, some)):
        for term in terms(value):
            postings.setdefault(term, []).append(value)
    pairs = ((a, b) for b in filter(None, map(read, others)) for term in terms(b) for a in postings.get(term, ()))
    return any(same(a, b) or same(b, a) for a, b in pairs)
