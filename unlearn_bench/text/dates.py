"""Dates in running text, in any common notation, as ISO 8601.

    June 9, 1951 | 9th of June 1951 | 9 June in the year 1951 | 9-Jun-1951 | ninth of June 1951 | June 1951 | 9 June
    1951-06-09 | 1951/06/09 | 1951.06.09 | 06/09/1951 (ambiguous) | 06/09/51 (ambiguous) | 1951年6月9日
    9 juin 1951 | 9. Juni 1951 | 9 de junio de 1951 | 9 giugno 1951 (months of ten European languages, with a year)

A date in digits whose day and month could change places (05/11/1991), or whose century is not said (06/30/75), has
several readings and stays as written; it is the same date as any text that shares one of them.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from unlearn_bench.text.numbers import ORDINALS

Reading = tuple[int, int, int]  # year, month, day; 0 = not said

_ENGLISH = "january february march april may june july august september october november december".split()  # noqa: SIM905
_OTHERS = """janvier février mars avril mai juin juillet août septembre octobre novembre décembre
    januar februar märz april mai juni juli august september oktober november dezember
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
    janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
    januari februari maart april mei juni juli augustus september oktober november december
    januari februari mars april maj juni juli augusti september oktober november december
    januar februar marts april maj juni juli august september oktober november december
    januar februar mars april mai juni juli august september oktober november desember
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia""".split()  # noqa: SIM905
_SPELLINGS = {"fevrier": 2, "aout": 8, "decembre": 12, "maerz": 3, "jänner": 1, "setiembre": 9, "marco": 3}
_MONTHS = (
    {name: i % 12 + 1 for i, name in enumerate(_OTHERS)}
    | _SPELLINGS
    | {name[:n]: i for i, name in enumerate(_ENGLISH, 1) for n in (3, len(name))}
    | {"sept": 9}
)
_MONTH = r"(?P<{}>(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?|" + "|".join(_ENGLISH) + r")"
_ANY_MONTH = r"(?P<{}>" + "|".join(sorted({*_OTHERS, *_SPELLINGS}, key=len, reverse=True)) + r")"
_DAY = r"(?P<{}>\d{{1,2}})(?:st|nd|rd|th)?"
_DAY_WORD = r"(?P<{}>" + "|".join(sorted(ORDINALS, key=len, reverse=True)).replace("-", "[- ]") + r")"
_YEAR = r"(?P<{}>[12]\d{{3}})"
_GLUE = r"(?:\s*,\s*|\s+)(?:(?:in|of)\s+)?(?:the\s+year\s+(?:of\s+)?)?"
_WITH_YEAR = r"(?:" + _GLUE + _YEAR + r")?"
_DATE = re.compile(
    "|".join(
        (
            r"\b" + _MONTH.format("m1") + r"\s+(?:the\s+)?" + _DAY.format("d1") + r"\b" + _WITH_YEAR.format("y1"),
            _DAY.format(r"d2").join((r"\b", r"\s+(?:day\s+)?(?:of\s+)?"))
            + _MONTH.format("m2")
            + _WITH_YEAR.format("y2"),
            r"\b" + _DAY_WORD.format("w1") + r"\s+(?:day\s+)?of\s+" + _MONTH.format("m7") + _WITH_YEAR.format("y7"),
            r"\b" + _DAY.format("d8") + r"[-/.]" + _MONTH.format("m8") + r"[-/.]" + _YEAR.format("y8"),
            r"\b" + _YEAR.format("y9") + r"[\s,-]+" + _MONTH.format("m9") + r"[\s-]+" + _DAY.format("d9"),
            r"\b(?P<d10>\d{1,2})(?:er|º|°|\.)?[\s.-]+(?:de\s+|di\s+)?"
            + _ANY_MONTH.format("m10")
            + r"[\s.,-]+(?:de\s+|del\s+)?"
            + _YEAR.format("y10"),
            r"\b" + _MONTH.format("m3") + _GLUE + _YEAR.format("y3"),
            r"\b(?P<y4>[12]\d{3})-(?P<m4>\d{2})(?:-(?P<d4>\d{2}))?",
            r"\b(?P<y11>[12]\d{3})(?P<sep>[/.-])(?P<m11>\d{1,2})(?P=sep)(?P<d11>\d{1,2})",
            r"(?<!\d)(?P<y12>[12]\d{3})\s?[年년]\s?(?P<m12>\d{1,2})\s?[月월](?:\s?(?P<d12>\d{1,2})\s?[日일号號])?(?=(?P<cjk>))",
            r"--(?P<m6>\d{2})-(?P<d6>\d{2})",
            r"\b(?P<a>\d{1,2})[/.-](?P<b>\d{1,2})[/.-](?P<y5>[12]\d{3})",
            r"\b(?P<a2>\d{1,2})(?P<sep2>[/-])(?P<b2>\d{1,2})(?P=sep2)(?P<short>\d{2})(?![/-])",
        )
    ),
    re.IGNORECASE,
)
_NO_YEAR = re.compile(r"--(\d{2})-(\d{2})")


def find_dates(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, canonical text) of each date.

    >>> [d for _, _, d in find_dates("Born on the 25th of February in the year 1958, not 05/11/1991 or May 2001.")]
    ['1958-02-25', '05/11/1991', '2001-05']
    """
    for match in _DATE.finditer(text):
        end = match.end()
        if match["cjk"] is None and text[end : end + 1].isalnum():
            continue
        readings = _readings(match)
        if readings:
            yield match.start(), end, match.group() if len(readings) > 1 else _iso(next(iter(readings)))


@lru_cache(maxsize=16384)
def parse_date(text: str) -> frozenset[Reading]:
    """The readings of a text that is only a date; empty otherwise.

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
        return _either_order(int(got["a"]), int(got["b"]), (int(got["y5"]),))
    if "short" in got:
        return _either_order(int(got["a2"]), int(got["b2"]), (1900 + int(got["short"]), 2000 + int(got["short"])))
    year = next((int(got[k]) for k in got if k[0] == "y"), 0)
    month = next(got[k] for k in got if k[0] == "m")
    month_number = int(month) if month.isdigit() else _MONTHS[month.lower().rstrip(".")]
    word = next((got[k] for k in got if k[0] == "w"), "")
    day = ORDINALS[word.lower().replace(" ", "-")] if word else next((int(got[k]) for k in got if k[0] == "d"), 0)
    return frozenset({(year, month_number, day)} if _valid(month_number, day or 1) else ())


def _either_order(a: int, b: int, years: tuple[int, ...]) -> frozenset[Reading]:
    return frozenset((year, m, d) for year in years for m, d in ((a, b), (b, a)) if _valid(m, d))


def _valid(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _iso(reading: Reading) -> str:
    year, month, day = reading
    if not year:
        return f"--{month:02}-{day:02}"
    return f"{year:04}-{month:02}" + (f"-{day:02}" if day else "")
