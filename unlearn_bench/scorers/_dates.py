"""Dates in running text, in any common form, as ISO 8601.

    June 9, 1951 | 9th of June 1951 | 9 June in the year 1951 | 1951-06-09 | 06/09/1951 (ambiguous) | June 1951 | 9 June

A date of slashes, dots or dashes whose day and month could change places (05/11/1991) has two readings and stays as
written.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

Reading = tuple[int, int, int]  # year, month, day; 0 = not said

_MONTH_NAMES = "january february march april may june july august september october november december".split()  # noqa: SIM905
_MONTHS = {name[:n]: i for i, name in enumerate(_MONTH_NAMES, 1) for n in (3, len(name))} | {"sept": 9}
_MONTH = r"(?P<{}>(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?|" + "|".join(_MONTH_NAMES) + r")"
_DAY = r"(?P<{}>\d{{1,2}})(?:st|nd|rd|th)?"
_YEAR = r"(?P<{}>[12]\d{{3}})"
_GLUE = r"(?:\s*,\s*|\s+)(?:(?:in|of)\s+)?(?:the\s+year\s+(?:of\s+)?)?"
_DATE = re.compile(
    r"\b(?:"
    + "|".join(
        (
            _MONTH.format("m1") + r"\s+(?:the\s+)?" + _DAY.format("d1") + r"\b(?:" + _GLUE + _YEAR.format("y1") + r")?",
            _DAY.format("d2")
            + r"\s+(?:day\s+)?(?:of\s+)?"
            + _MONTH.format("m2")
            + r"(?:"
            + _GLUE
            + _YEAR.format("y2")
            + r")?",
            _MONTH.format("m3") + _GLUE + _YEAR.format("y3"),
            r"(?P<y4>[12]\d{3})-(?P<m4>\d{2})(?:-(?P<d4>\d{2}))?",
            r"--(?P<m6>\d{2})-(?P<d6>\d{2})",
            r"(?P<a>\d{1,2})[/.-](?P<b>\d{1,2})[/.-](?P<y5>[12]\d{3})",
        )
    )
    + r")\b",
    re.IGNORECASE,
)
_NO_YEAR = re.compile(r"--(\d{2})-(\d{2})")


def find_dates(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, canonical text) of each date.

    >>> [d for _, _, d in find_dates("Born on the 25th of February in the year 1958, not 05/11/1991 or May 2001.")]
    ['1958-02-25', '05/11/1991', '2001-05']
    """
    for match in _DATE.finditer(text):
        readings = _readings(match)
        if readings:
            yield match.start(), match.end(), match.group() if len(readings) > 1 else _iso(next(iter(readings)))


@lru_cache(maxsize=16384)
def parse_date(text: str) -> frozenset[Reading]:
    """The readings of a text that is a date and nothing else; empty if it is none.

    >>> sorted(parse_date("05/11/1991"))
    [(1991, 5, 11), (1991, 11, 5)]
    """
    no_year = _NO_YEAR.fullmatch(text)
    if no_year:
        return frozenset({(0, int(no_year[1]), int(no_year[2]))})
    match = _DATE.fullmatch(text.strip())
    return _readings(match) if match else frozenset()


def same_date(wanted: frozenset[Reading], found: frozenset[Reading]) -> bool:
    """Whether `found` says all that `wanted` says, under some reading of both.

    >>> month, day = parse_date("May 1991"), parse_date("May 11, 1991")
    >>> same_date(month, day), same_date(day, month)
    (True, False)
    """
    return any(all(w in (0, f) for w, f in zip(a, b, strict=True)) for a in wanted for b in found)


def _readings(match: re.Match[str]) -> frozenset[Reading]:
    got = {name: value for name, value in match.groupdict().items() if value}
    if "a" in got:
        a, b, year = int(got["a"]), int(got["b"]), int(got["y5"])
        return frozenset((year, m, d) for m, d in ((a, b), (b, a)) if _valid(m, d))
    year = next((int(got[k]) for k in got if k[0] == "y"), 0)
    month = next(got[k] for k in got if k[0] == "m")
    month_number = int(month) if month.isdigit() else _MONTHS[month.lower().rstrip(".")]
    day = next((int(got[k]) for k in got if k[0] == "d"), 0)
    return frozenset({(year, month_number, day)} if _valid(month_number, day or 1) else ())


def _valid(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _iso(reading: Reading) -> str:
    year, month, day = reading
    if not year:
        return f"--{month:02}-{day:02}"
    return f"{year:04}-{month:02}" + (f"-{day:02}" if day else "")
