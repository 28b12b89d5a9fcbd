"""Numbers in running text, in digits or words, and what they may mean.

    1,234.50 | 1.234.567 | 12 000 | 1,82 (decimal comma) | 2/3, 2 1/2 | twenty-five | two and a half | a dozen
    nineteen seventy-five -> 1975        Henry VIII -> 8        55.000 -> 55 or 55000 (ambiguous)

"one" and ordinals in words stay words: they are rarely the fact ("one of the most …", "first of all").
"""

import re
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {w: i for i, w in enumerate(_UNITS.split())} | {w: 10 * i for i, w in enumerate(_TENS.split(), 2)}
_FIRST_ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
    fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth""".split()  # noqa: SIM905
# as far as days of a month go
ORDINALS = {name: i for i, name in enumerate(_FIRST_ORDINALS, 1)} | {"thirtieth": 30, "thirty-first": 31}
ORDINALS |= {f"twenty-{name}": 20 + i for i, name in enumerate(_FIRST_ORDINALS[:9], 1)}
SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "dozen": 12,
}
_WORD = "|".join(sorted(_VALUES, key=len, reverse=True))
_SCALE = "|".join(SCALES)
_DIGITS = re.compile(
    r"(?:(?<![\w.])|(?<=\bUSD)|(?<=\bEUR)|(?<=\bGBP)|(?<=\bRs))#?(?:"
    r"(?P<whole>\d{1,3}) (?P<top1>\d{1,2})/(?P<bottom1>\d{1,2})(?![\d/])"
    r"|(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/])"
    r"|(?P<english>\d{1,3}(?:,\d{3})+(?:\.\d+)?)"
    r"|(?P<dotted>\d{1,3}(?:\.\d{3}){2,6}(?:,\d+)?)"
    r"|(?P<spaced>\d{1,3}(?: \d{3}){1,5}(?:\.\d+)?)(?! ?\d)"
    r"|(?<!\d,)(?P<comma>\d{1,15},(?:\d{1,2}|\d{4,12}))(?![\d,]|\.\d)"
    r"|(?P<either>[1-9]\d{0,2}\.\d{3})(?![\d.])"
    r"|(?P<plain>\d+(?:\.\d+)?)"
    r")(?![\d])"
)
_WORDS = re.compile(
    rf"\b(?:(half)\s+an?\s+|an?\s+(?=(?:{_SCALE})\b))?"
    rf"((?:{_WORD}|{_SCALE})(?:[\s-]+(?:{_WORD}|{_SCALE})|(?<=undred|ousand|illion)\s+and\s+(?:{_WORD}))*)\b"
    rf"(\s+and\s+a\s+half\b(?:\s+({_SCALE})\b)?)?",
    re.I,
)
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_FRACTION = re.compile(
    rf"\b(one|two|three|four|five|seven|nine)[\s-]+({'|'.join(_PARTS)})s?\b(?!\s+(?:of\s+[A-Z]|time|year|day|century))",
    re.I,
)
_ROMAN = re.compile(r"(?<=[a-z] )(?=[IVX]{2,5}\b)X{0,3}(?:IX|IV|V?I{0,3})\b(?!')")
_CAPITALISED = re.compile(r"(?:^|\W)[A-Z][a-z]+ $")
_REGNAL = "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth".split()  # noqa: SIM905
_REGNAL_NAME = re.compile(rf"(?<=[a-z] )the ({'|'.join(w.capitalize() for w in _REGNAL)}|\d{{1,2}}(?:st|nd|rd|th))\b")
_MAX_DIGITS = 40


class Number(NamedTuple):
    """A number in a text.

    Attributes:
        start, end: Its characters in the text.
        values: What it may mean: two readings where a dot may group thousands or begin the decimals.
        written: Digits as written where that matters ("3.10", "55.000"), else the plain decimal.
    """

    start: int
    end: int
    values: tuple[Fraction, ...]
    written: str


def find_numbers(text: str) -> list[Number]:
    """Every number of a text, without units, in order.

    >>> [n.written for n in find_numbers("In 1997 she sold 1,250.50 copies, two thirds of 5 million, two a day.")]
    ['1997', '1250.5', '2/3', '5', '2']
    """
    digits = [n for n in map(_from_digits, _DIGITS.finditer(text)) if n]
    words = [n for n in map(_from_words, _WORDS.finditer(text)) if n]
    parts = [
        _number(m.start(), m.end(), Fraction(_VALUES[m[1].lower()], _PARTS[m[2].lower()]))
        for m in _FRACTION.finditer(text)
    ]
    found: list[Number] = []
    end = 0
    for number in sorted([*digits, *parts, *words, *_after_names(text)], key=lambda n: (n.start, -n.end)):
        if number.start >= end:
            found.append(number)
            end = number.end
    return found


def _after_names(text: str) -> Iterator[Number]:
    """Numerals of rulers, wars and volumes: "Henry VIII", "Henry the Eighth"."""
    for match in _ROMAN.finditer(text):
        if match.group() and _CAPITALISED.search(text[max(0, match.start() - 30) : match.start()]):
            yield _number(match.start(), match.end(), Fraction(_roman(match.group())))
    for match in _REGNAL_NAME.finditer(text):
        if _CAPITALISED.search(text[max(0, match.start() - 30) : match.start()]):
            word = match[1].lower()
            value = int(re.match(r"\d+", word)[0]) if word[0].isdigit() else _REGNAL.index(word) + 2
            yield _number(match.start(), match.end(), Fraction(value))


def _roman(text: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in text]
    return sum(-v if v < following else v for v, following in zip(values, [*values[1:], 0], strict=True))


def _number(start: int, end: int, value: Fraction) -> Number:
    return Number(start, end, (value,), plain(value))


def _from_digits(match: re.Match[str]) -> Number | None:
    kind = match.lastgroup
    text = match[kind] if kind else ""
    if len(match.group()) > _MAX_DIGITS:
        return None
    start, end = match.span()
    if match["bottom1"] or match["bottom"]:
        bottom = int(match["bottom1"] or match["bottom"])
        value = int(match["whole"] or 0) + Fraction(int(match["top1"] or match["top"]), bottom) if bottom else None
        return _number(start, end, value) if value is not None else None
    if kind == "either":
        return Number(start, end, (Fraction(text), Fraction(text.replace(".", ""))), text)
    if kind == "dotted":
        text = text.replace(".", "").replace(",", ".")
    elif kind == "comma":
        text = text.replace(",", ".")
    text = text.replace(",", "").replace(" ", "")
    value = Fraction(text)
    keeps = kind == "plain" and text.endswith("0") and "." in text  # "3.10" may be a version
    return Number(start, end, (value,), text if keeps else plain(value))


def _from_words(match: re.Match[str]) -> Number | None:
    spoken = re.split(r"[\s-]+", match[2].lower())
    article = match.group()[: match.start(2) - match.start()].lower().split()
    one_and_a_half = match[3] and spoken == ["one"]
    value = 1 if one_and_a_half else _value([w for w in spoken if w != "and"], implied=bool(article))
    if value is None:
        return None
    result = Fraction(value)
    if article[:1] == ["half"]:
        result /= 2
    if match[3]:
        result = (result + Fraction(1, 2)) * SCALES.get((match[4] or "").lower(), 1)
    return _number(match.start(), match.end(), result)


def _value(spoken: list[str], *, implied: bool) -> int | None:
    """The number that words say; `implied`: a scale may come first ("a dozen")."""
    if spoken == ["one"] or (spoken[0] in SCALES and not implied) or len(spoken) > 12:
        return None
    total = current = 0
    chunks: list[int] = []  # 10 to 99 said in a row: "nineteen seventy-five"
    for word in spoken:
        if word in ("hundred", "dozen"):
            current, chunks = max(current, 1) * SCALES[word], []
        elif word in SCALES:
            total, current, chunks = total + max(current, 1) * SCALES[word], 0, []
        else:
            value = _VALUES[word]
            if chunks and chunks[-1] >= 20 and chunks[-1] % 10 == 0 and 0 < value < 10:
                chunks[-1] += value
            else:
                chunks.append(value)
            current += value
    if len(chunks) == 2 and len(spoken) <= 4 and total == 0 and min(chunks) >= 10:
        return 100 * chunks[0] + chunks[1]
    return None if len(chunks) > 1 else total + current


def plain(value: Fraction) -> str:
    """A number as a plain decimal, or as a fraction where that would not end.

    >>> plain(Fraction(5, 2)), plain(Fraction(2, 3)), plain(Fraction(1000))
    ('2.5', '2/3', '1000')
    """
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest > 1 or value.denominator > 10**12:
        return f"{value.numerator}/{value.denominator}"
    with localcontext(prec=2 * _MAX_DIGITS):
        text = format(Decimal(value.numerator) / value.denominator, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
