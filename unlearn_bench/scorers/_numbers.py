"""Numbers in running text, in digits or words, as plain decimals.

    1,234.50 -> 1234.5        twenty-five -> 25        5 million -> 5000000

"one" and ordinals in words stay words: they are seldom the fact ("one of the most …", "first of all").
"""

import re
from collections.abc import Iterator
from decimal import Decimal

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {w: i for i, w in enumerate(_UNITS.split())} | {w: 10 * i for i, w in enumerate(_TENS.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_WORD = "|".join(sorted(_VALUES, key=len, reverse=True))
_SCALE = "|".join(_SCALES)
_DIGITS = re.compile(
    rf"(?<![\w.])[#$€£]?(\d{{1,3}}(?:,\d{{3}})+|\d+)(\.\d+)?(?:\s?(%)|\s+(percent|{_SCALE})\b)?(?:st|nd|rd|th)?\b", re.I
)
_WORDS = re.compile(
    rf"\b((?:{_WORD}|{_SCALE})(?:(?:[\s-]+and)?[\s-]+(?:{_WORD}|{_SCALE}))*)\b(?:\s+(percent)\b)?", re.I
)
_MAX_DIGITS = 40


def find_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, plain decimal) of each number, those in digits first; percentages keep their sign.

    >>> text = "In 1997 she sold 1,250.50 copies, twenty-five percent of 5 million, two a day."
    >>> [n for _, _, n in find_numbers(text)]
    ['1997', '1250.5', '5000000', '25%', '2']
    """
    for match in _DIGITS.finditer(text):
        whole, fraction, sign, scale = match.groups()
        if len(whole) <= _MAX_DIGITS:
            value = Decimal(whole.replace(",", "") + (fraction or "")[:_MAX_DIGITS]) * _SCALES.get(
                (scale or "").lower(), 1
            )
            yield (
                match.start(),
                match.end(),
                _plain(value) + ("%" if sign or (scale or "").lower() == "percent" else ""),
            )
    for match in _WORDS.finditer(text):
        value = _value(re.split(r"[\s-]+", match.group(1).lower()))
        if value is not None:
            yield match.start(), match.end(), str(value) + ("%" if match.group(2) else "")


def _value(spoken: list[str]) -> int | None:
    if spoken == ["one"] or spoken[0] in _SCALES or len(spoken) > 12:
        return None
    total = current = 0
    for word in spoken:
        if word == "hundred":
            current = max(current, 1) * 100
        elif word in _SCALES:
            total, current = total + max(current, 1) * _SCALES[word], 0
        else:
            current += _VALUES.get(word, 0)
    return total + current


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
