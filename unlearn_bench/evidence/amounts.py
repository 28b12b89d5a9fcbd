"""Amounts in the reference's units: "16 km" is read as "10 miles" where the reference says that.

    lengths, weights, speeds, areas, temperatures   between metric and imperial units, where writers round: within 1 %
    days and weeks; months, years and decades       exactly: "18 months" is "a year and a half"
    shares                                          "0.45", "9/20" and "45 %"
    years and decades                               "'98" and "1998", "the eighties" and "the 1980s"

Coverage compares amounts within one system of units, for KFR and KRR by the paper's rules too (`text.quantities`); this
is for agreement alone, which rewrites the answer before it reads it.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from unlearn_bench.text.numbers import SCALES, find_numbers
from unlearn_bench.text.quantities import find_quantities

ROUNDED = 0.01  # relative difference that two systems of units may have
_DEGREES = 0.6  # the same of temperatures, in °C
_PER_CENT = 0.0034  # of a share that no percentage states exactly ("a third" is 33 %)
_EXACT = 1e-9
_INCH = 0.0254
_TIMES = ("days", "months")

# dimension, system, factor to the dimension's base unit, names (a space stands for white space or a hyphen)
_UNITS: tuple[tuple[str, str, float, str], ...] = (
    ("length", "metric", 0.001, "millimet(?:re|er)s?|mm"),
    ("length", "metric", 0.01, "centimet(?:re|er)s?|cm"),
    ("length", "metric", 1, "met(?:re|er)s?|m"),
    ("length", "metric", 1000, "kilomet(?:re|er)s?|kms?"),
    ("length", "imperial", _INCH, "inch(?:es)?"),
    ("length", "imperial", 0.3048, "feet|foot|ft"),
    ("length", "imperial", 0.9144, "yards?|yds?"),
    ("length", "imperial", 1609.344, "miles?|mi"),
    ("weight", "metric", 1, "gram(?:me)?s?|g"),
    ("weight", "metric", 1000, "kilogram(?:me)?s?|kilos?|kgs?"),
    ("weight", "metric", 1e6, "tonnes?|metric tons?"),
    ("weight", "imperial", 28.349523, "ounces?|oz"),
    ("weight", "imperial", 453.59237, "pounds?|lbs?"),
    ("speed", "metric", 1, "km/h|kmh|kph|kilomet(?:re|er)s? (?:per|an) hour"),
    ("speed", "imperial", 1.609344, "mph|miles? (?:per|an) hour"),
    ("area", "metric", 1, "hectares?|ha"),
    ("area", "metric", 100, "km2|km²|square kilomet(?:re|er)s?"),
    ("area", "imperial", 0.40468564, "acres?"),
    ("area", "imperial", 258.99881, "square miles?"),
    ("temperature", "metric", 1, "°\\s?C|degrees? (?:Celsius|centigrade|C)"),
    ("temperature", "imperial", 5 / 9, "°\\s?F|degrees? (?:Fahrenheit|F)"),
    ("days", "time", 1, "days?"),
    ("days", "time", 7, "weeks?"),
    ("months", "time", 1, "months?"),
    ("months", "time", 12, "years?"),
    ("months", "time", 120, "decades?"),
    ("share", "%", 0.01, "%|per ?cent"),
)
_ROW = {f"u{i}": row[:3] for i, row in enumerate(_UNITS)}
_NAMES = "|".join(f"(?P<u{i}>{row[3].replace(' ', r'[ -]')})" for i, row in enumerate(_UNITS))
_UNIT = re.compile(rf"[\s-]?(?:{_NAMES})(?![\w/²])(?! old\b)", re.I)
_ONE = re.compile(
    rf"\b(?:an?|one)\s+(?P<unit>{'|'.join(r[3] for r in _UNITS if r[0] in _TIMES)})\b(?P<half>\s+and\s+a\s+half\b)?",
    re.I,
)
_TENS = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
         "nineties": 90}  # fmt: skip
_SHORT_YEAR = re.compile(rf"(?<!\w)['\u2019](?P<year>\d\d)(?P<s>s?)(?!\w)|\b(?P<tens>{'|'.join(_TENS)})\b", re.I)
_YEAR = re.compile(r"\b(?:1[5-9]|20)(\d\d)(s?)\b")
_SCALE = re.compile(rf"[\s-]?(?:{'|'.join(SCALES)}|[km]\b|bn\b)", re.I)
_BEFORE = re.compile(r"(?:[-$£€¥₹]|\bminus|\bversion|\bv\.?)\s?$", re.I)


class _Amount(NamedTuple):
    start: int
    end: int
    dimension: str
    system: str
    unit: float
    value: float  # in the dimension's base unit


def in_units_of(reference: str, response: str) -> str:
    """The response, its amounts written as the reference writes them where they are the same in other units.

    >>> in_units_of("It is 10 miles away.", "About 16 km, or 9 hours.")
    'About 10 miles, or 9 hours.'
    >>> in_units_of("45 %", "A ratio of 0.45."), in_units_of("45 kg", "46 kg")
    ('A ratio of 45 %.', '46 kg')
    """
    wanted, years = _amounts(reference), {match.groups(): match[0] for match in _YEAR.finditer(reference)}
    if years:
        response = _SHORT_YEAR.sub(lambda match: years.get(_year(match), match[0]), response)
    if not wanted:
        return response
    parts, position = [], 0
    for found in _amounts(response):
        match = next((amount for amount in wanted if _same(amount, found)), None)
        if match is not None and found.start >= position:
            parts += [response[position : found.start], reference[match.start : match.end]]
            position = found.end
    return "".join([*parts, response[position:]])


def _year(match: re.Match[str]) -> tuple[str, str]:
    """Last two digits, and "s" of a decade."""
    return (f"{_TENS[match['tens'].lower()]}", "s") if match["tens"] else (match["year"], match["s"])


def _same(wanted: _Amount, found: _Amount) -> bool:
    """Whether an amount is another's in other units: the same units are compared elsewhere, to the digit."""
    if wanted.dimension != found.dimension or (wanted.system, wanted.unit) == (found.system, found.unit):
        return False
    distance = abs(wanted.value - found.value)
    if wanted.system == found.system:
        return distance <= _EXACT * abs(wanted.value)
    if wanted.dimension == "temperature":
        return distance <= _DEGREES
    if wanted.dimension == "share":
        bare = (wanted if wanted.system == "bare" else found).value
        return distance <= (_EXACT if abs(bare * 1000 - round(bare * 1000)) < _EXACT else _PER_CENT)
    return distance <= ROUNDED * abs(wanted.value)


@lru_cache(maxsize=1024)
def _amounts(text: str) -> tuple[_Amount, ...]:
    heights = list(_heights(text))
    others = (a for a in (*_measured(text), *_ones(text)) if not any(h.start <= a.start < h.end for h in heights))
    return tuple(sorted([*heights, *others]))


def _heights(text: str) -> Iterator[_Amount]:
    """Feet and inches: "5 ft 11 in"."""
    for start, end, written in find_quantities(text):
        number, _, unit = written.partition(" ")
        if unit == "inch":
            yield _Amount(start, end, "length", "imperial", _INCH, float(Fraction(number)) * _INCH)


def _measured(text: str) -> Iterator[_Amount]:
    for number in find_numbers(text):
        if len(number.values) > 1 or _BEFORE.search(text[max(0, number.start - 9) : number.start]):
            continue
        value = float(number.values[0])
        unit = _UNIT.match(text, number.end)
        if unit:
            dimension, system, factor = _ROW[next(name for name, found in unit.groupdict().items() if found)]
            zero = 32 if (dimension, system) == ("temperature", "imperial") else 0
            yield _Amount(number.start, unit.end(), dimension, system, factor, (value - zero) * factor)
        elif 0 < value < 1 and not _SCALE.match(text, number.end):
            yield _Amount(number.start, number.end, "share", "bare", 1.0, value)


def _ones(text: str) -> Iterator[_Amount]:
    """Amounts without a number: "a week", "a year and a half"."""
    for match in _ONE.finditer(text):
        unit = _UNIT.match(match["unit"])
        if unit:
            dimension, system, factor = _ROW[next(name for name, found in unit.groupdict().items() if found)]
            yield _Amount(*match.span(), dimension, system, factor, factor * (1.5 if match["half"] else 1.0))
