"""Amounts in running text: numbers with their percent sign, currency or unit, in one notation each.

    97 percent = 97 per cent = 97%          £55k = 55,000 pounds = £55.000 -> £55000        $1.5M -> $1500000
    1.82 m = 1,82 m = 182 cm -> 1.82 m      5'11" = 5 feet 11 inches -> 71 inch             90 minutes -> 5400 seconds
    Version 3.10 = v3.10 -> v3.10, which is not v3.1

A number without a unit is the same as one with it ("182" for "182 cm"), except for percentages. Units convert within
their system (metric lengths, imperial lengths), never between systems, where writers round.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from unlearn_bench.text.numbers import SCALES, Number, find_numbers, plain

# unit: base unit, factor, notations; those in lower case stand for any case, others are matched as they are
_UNITS: tuple[tuple[str, str, str], ...] = (
    ("m", "1/1000", "millimetres? millimeters? mm"),
    ("m", "1/100", "centimetres? centimeters? cm"),
    ("m", "1", "metres? meters? m"),
    ("m", "1000", "kilometres? kilometers? kms?"),
    ("inch", "1", "inch inches"),
    ("inch", "12", "feet foot ft"),
    ("inch", "36", "yards? yds?"),
    ("inch", "63360", "miles? mi"),
    ("g", "1/1000", "milligrams? milligrammes? mg"),
    ("g", "1", "grams? grammes? g"),
    ("g", "1000", "kilograms? kilogrammes? kilos? kgs?"),
    ("g", "1000000", "tonnes? metric_tons?"),
    ("lb", "1/16", "ounces? oz"),
    ("lb", "1", "lbs?"),
    ("pounds", "1", "pounds?"),  # of weight or of money
    ("l", "1/1000", "millilitres? milliliters? ml"),
    ("l", "1/100", "centilitres? cl"),
    ("l", "1", "litres? liters? l"),
    ("°", "1", "degrees? °"),
    ("°C", "1", "°_?c degrees?_celsius degrees?_centigrade degrees?_c"),
    ("°F", "1", "°_?f degrees?_fahrenheit degrees?_f"),
    ("km/h", "1", "km/h kph kmh kmph kilometres?_(?:per|an)_hour kilometers?_(?:per|an)_hour"),
    ("mph", "1", "mph miles?_(?:per|an)_hour"),
    ("m2", "1", "m2 sq\\.?_?m square_metres? square_meters?"),
    ("m2", "10000", "hectares? ha"),
    ("m2", "1000000", "km2 sq\\.?_?km square_kilometres? square_kilometers?"),
    ("sq ft", "1", "sq\\.?_?ft square_f(?:ee|oo)t"),
    ("sq mi", "1", "sq\\.?_?mi square_miles?"),
    ("acres", "1", "acres?"),
    ("seconds", "1", "seconds? secs?"),
    ("seconds", "60", "minutes? mins?"),
    ("seconds", "3600", "hours? hrs? h"),
    ("MB", "1/1000", "kilobytes? kb"),
    ("MB", "1", "megabytes? mb"),
    ("MB", "1000", "gigabytes? gb"),
    ("MB", "1000000", "terabytes? tb"),
    ("MHz", "1", "megahertz mhz"),
    ("MHz", "1000", "gigahertz ghz"),
    ("%", "1", "% percent(?:age_points?)? per_cent pct\\.?"),
    ("$", "1", "(?:us_)?dollars? usd bucks"),
    ("A$", "1", "australian_dollars? aud"),
    ("C$", "1", "canadian_dollars? cad"),
    ("£", "1", "pounds?_sterling british_pounds? gbp £"),
    ("€", "1", "euros? eur €"),
    ("¥", "1", "yen jpy yuan cny renminbi rmb"),
    ("₹", "1", "rupees? inr"),
    ("CHF", "1", "swiss_francs? chf francs?"),
    ("kr", "1", "kron(?:er|or|e|a|ur) sek nok dkk kr"),
)
_SYMBOLS = {"US$": "$", "$": "$", "A$": "A$", "C$": "C$", "£": "£", "€": "€", "¥": "¥", "₹": "₹", "Rs": "₹"} | {
    code: unit
    for unit, codes in {"$": "USD", "A$": "AUD", "C$": "CAD", "£": "GBP", "€": "EUR", "¥": "JPY CNY RMB", "₹": "INR",
                        "CHF": "CHF", "kr": "SEK NOK DKK"}.items()
    for code in codes.split()
}  # fmt: skip
CURRENCIES = frozenset(_SYMBOLS.values())
_SAME_UNIT = frozenset(
    frozenset(pair)
    for pair in (("pounds", "£"), ("pounds", "lb"), ("$", "A$"), ("$", "C$"), ("CHF", "€"), ("°", "°C"), ("°", "°F"))
)
_BEFORE = re.compile(r"(?:(?<![A-Za-z])(US\$|[AC]\$|Rs|[A-Z]{3})\.?\s?|([$£€¥₹])\s?)$")
_SHORT_SCALES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "mln": 1_000_000, "bn": 10**9, "b": 10**9, "tn": 10**12}
_SCALE = re.compile(rf"[\s-]({'|'.join(SCALES)})\b|\s?(bn|tn|mn|mln)\b|([kKMmB])(?![\w])", re.IGNORECASE)
_NAMES = {name.replace("_", r"\s"): i for i, (_, _, names) in enumerate(_UNITS) for name in names.split()}
_UNIT = re.compile(r"[\s-]?(" + "|".join(sorted(_NAMES, key=len, reverse=True)) + r")(?![\w/])", re.IGNORECASE)
_LOWER_ONLY = frozenset(("m", "g", "l", "mi", "ha", "mg", "cl", "h"))  # "5 M" is five million, "5G" a network
_BELOW_ZERO = re.compile(r"(?:^|[\s(])(-\s?|(?:minus|negative)\s)$", re.IGNORECASE)
_ORDINAL_END = re.compile(r"(?:st|nd|rd|th)\b")
_HEIGHT = re.compile(r"(?<![\w.'])(\d{1,2})'\s?(\d{1,2})(?:\"|''|\s?in\b\.?)?(?![\w'])")
_FEET = re.compile(
    r"(?<![\w.])(\d{1,2})[\s-]?(?:feet|foot|ft)\.?[\s-](\d{1,2})(?![\w.,/%:])(?!\s*(?:feet|ft|m|km|inch))", re.I
)
_VERSION = re.compile(
    r"\b(?:(?:version|ver\.?)\s?|v\.?\s?(?=\d))(?P<named>\d{1,6}(?:\.\d{1,6}){0,5})(?!\w)|(?<![\w.])(?P<bare>\d{1,6}(?:\.\d{1,6}){2,5})(?!\w|[.,]\d)"
    r"|(?<=[A-Za-z] )(?P<after>\d{1,3}\.\d{1,3})(?![\w.%])",
    re.I,
)
_PRODUCT = re.compile(r"(?:^|[^\w.!?])([A-Z][A-Za-z]{2,20}) $")
_NO_PRODUCT = frozenset(
    """the was were and for with has had about over under than only just some from jan feb mar apr jun jul aug sep oct
    nov dec january february march april may june july august september october november december chapter section
    figure table""".split()  # noqa: SIM905
)


class Quantity(NamedTuple):
    """An amount, or a version number.

    Attributes:
        values: In the base unit; two where a dot may group thousands.
        unit: Base unit, currency, "%", "version", or "" for a bare number.
        bare: The values without unit, as written.
        written: The number as written.
    """

    values: frozenset[Fraction]
    unit: str
    bare: frozenset[Fraction]
    written: str


class _Span(NamedTuple):
    start: int
    end: int
    quantity: Quantity
    factor: Fraction


def find_quantities(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Yield (start, end, canonical text) of each amount, in order; a number without unit is a plain decimal.

    >>> text = "In 1997 she sold 1,250.50 copies at £4.5k, twenty-five percent of 5 million, 5'11\" tall."
    >>> [n for _, _, n in find_quantities(text)]
    ['1997', '1250.5', '£4500', '25%', '5000000', '71 inch']
    """
    for span in _spans(text):
        yield span.start, span.end, _canonical(span.quantity)


@lru_cache(maxsize=16384)
def parse_quantity(text: str) -> Quantity | None:
    """The amount that a text is, if it is only an amount."""
    spans = _spans(text) if len(text) < 80 else []
    whole = len(spans) == 1 and (spans[0].start, spans[0].end) == (0, len(text))
    return spans[0].quantity if whole else None


def same_quantity(a: Quantity, b: Quantity) -> bool:
    """Whether two amounts are one under some reading.

    >>> same = lambda a, b: same_quantity(parse_quantity(a), parse_quantity(b))
    >>> same("£55.000", "55,000 pounds"), same("97%", "97"), same("v3.10", "v3.1"), same("182", "182 cm")
    (True, False, False, True)
    """
    if "version" in (a.unit, b.unit):
        return a.written == b.written and {a.unit, b.unit} <= {"version", ""}
    if a.unit == b.unit or frozenset((a.unit, b.unit)) in _SAME_UNIT:
        return not a.values.isdisjoint(b.values)
    if "%" in (a.unit, b.unit) or (a.unit and b.unit):
        return False
    return not a.bare.isdisjoint(b.bare) or not a.values.isdisjoint(b.values)


def _canonical(quantity: Quantity) -> str:
    if quantity.unit == "version":
        return "v" + quantity.written
    number = quantity.written if len(quantity.values) > 1 or not quantity.unit else plain(min(quantity.values))
    if quantity.unit in CURRENCIES - {"kr", "CHF"}:
        return quantity.unit + number
    return number + (quantity.unit if quantity.unit == "%" else f" {quantity.unit}" if quantity.unit else "")


def _spans(text: str) -> list[_Span]:
    special = [*_versions(text), *_heights(text)]
    taken = [(span.start, span.end) for span in special]
    spans = list(special)
    position = 0
    taken.sort()
    for number in find_numbers(text):
        while position < len(taken) and taken[position][1] <= number.start:
            position += 1
        if position == len(taken) or number.end <= taken[position][0]:
            span = _measured(text, number)
            if span:
                spans.append(span)
    return _summed(text, sorted(spans))


def _versions(text: str) -> Iterator[_Span]:
    end = 0
    for match in _VERSION.finditer(text):
        written = match[match.lastgroup]
        start = match.start()
        if match.lastgroup == "after":
            product = _PRODUCT.search(text[max(0, start - 24) : start])
            if not product or product[1] in _SYMBOLS or product[1].lower() in _NO_PRODUCT or start < end:
                continue
        elif match.lastgroup == "bare" and re.fullmatch(r"\d{1,3}(?:\.\d{3})+", written):
            continue
        value = frozenset({Fraction(int(written.split(".")[0]))})
        end = match.end()
        yield _Span(start, end, Quantity(value, "version", value, written), Fraction(1))


def _heights(text: str) -> Iterator[_Span]:
    for pattern in (_HEIGHT, _FEET):
        for match in pattern.finditer(text):
            if int(match[2]) < 12:
                value = frozenset({Fraction(12 * int(match[1]) + int(match[2]))})
                yield _Span(match.start(), match.end(), Quantity(value, "inch", value, plain(min(value))), Fraction(1))


def _measured(text: str, number: Number) -> _Span | None:
    """A number with what is written before and after it; None if it is the beginning of a word ("16th-note")."""
    start, end, factor = number.start, number.end, Fraction(1)
    before = _BEFORE.search(text[max(0, start - 6) : start])
    unit = _SYMBOLS.get(before[1] or before[2], "") if before else ""
    if unit:
        start -= len(before.group())
    scale = _SCALE.match(text, end)
    if scale and (not scale[3] or unit or scale[3] in "kM" or _is_money(_UNIT.match(text, scale.end()))):
        word = next(filter(None, scale.groups())).lower()
        factor = Fraction(SCALES.get(word) or _SHORT_SCALES[word])
        end = scale.end()
    scaled = factor
    after = _UNIT.match(text, end)
    if after and (after[1].lower() not in _LOWER_ONLY or after[1].islower()):
        base, size = _unit(after[1])
        if not unit or base in CURRENCIES | {"pounds"}:
            unit, factor, end = unit or base, factor * size, after.end()
    if end == number.end:
        ordinal = _ORDINAL_END.match(text, end)
        end = ordinal.end() if ordinal else end
        if text[end : end + 1].isalnum() and text[number.start].isdigit():
            return None
    values = number.values
    if unit.startswith("°"):
        below = _BELOW_ZERO.search(text[max(0, start - 10) : start])
        values = tuple(-v for v in values) if below else values
        start -= len(below[1]) if below else 0
    if len(values) > 1 and factor != 1 and unit not in CURRENCIES:
        values = values[:1]  # "1.250 million", "1.250 km": decimals
    elif len(values) > 1 and unit in CURRENCIES and factor == 1:
        values = values[1:]  # money has no three decimals
    bare = frozenset(v * scaled for v in values)
    written = number.written if factor == 1 and len(values) == len(number.values) else plain(min(bare))
    return _Span(start, end, Quantity(frozenset(v * factor for v in values), unit, bare, written), factor)


def _is_money(unit: re.Match | None) -> bool:
    return unit is not None and _unit(unit[1])[0] in CURRENCIES


@lru_cache(maxsize=256)
def _unit(name: str) -> tuple[str, Fraction]:
    """Base unit and factor of a unit as written."""
    row = next(i for pattern, i in _NAMES.items() if re.fullmatch(pattern, name, re.IGNORECASE))
    return _UNITS[row][0], Fraction(_UNITS[row][1])


def _summed(text: str, spans: list[_Span]) -> list[_Span]:
    """Join "5 feet 11 inches", "2 hours and 30 minutes": the same base unit, then a smaller one."""
    result: list[_Span] = spans[:1]
    for before, span in pairwise(spans):
        last = result[-1]
        if (
            last.end == before.end
            and span.quantity.unit == last.quantity.unit not in CURRENCIES | {"", "%", "version"}
            and span.factor < before.factor
            and text[last.end : span.start] in (" ", ", ", " and ", ", and ")
        ):
            total = frozenset(a + b for a in last.quantity.values for b in span.quantity.values)
            quantity = Quantity(total, span.quantity.unit, total, plain(min(total)))
            result[-1] = _Span(last.start, span.end, quantity, span.factor)
        elif span.start >= last.end:
            result.append(span)
    return result
