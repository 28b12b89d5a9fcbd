"""Times of day in running text, on the 24-hour clock.

    7:30 p.m. | 7.30pm | 19:30 | 19h30 | half past seven in the evening -> 19:30
    7:30 -> 07:30 or 19:30 (ambiguous)

A time without a.m. or p.m. whose hour is written with one digit, or is 10, 11 or 12, has two readings and stays as
written; it is the same time as any text that shares one of them.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from unlearn_bench.text.numbers import find_numbers

_HALF = r"\s?(?P<{}>[ap])\.?\s?m\b\.?"
_PART = r"(?:\s+(?:in\s+the\s+(?P<{0}>morning|afternoon|evening)|at\s+(?P<{0}n>night)))?"
_HOURS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_TIME = re.compile(
    r"(?<![\w:.])(?P<h1>\d{1,2})(?:[:.](?P<m1>[0-5]\d))?" + _HALF.format("half1")
    + r"|(?<![\w:.])(?P<h2>\d{1,2}):(?P<m2>[0-5]\d)(?::[0-5]\d)?(?![\w:])" + _PART.format("part2")
    + r"|(?<![\w:.])(?P<h3>\d{1,2})\s?h\s?(?P<m3>[0-5]\d)\b(?!\s?min)"
    + r"|(?<=\bat )(?P<h6>[01]\d|2[0-3])(?P<m6>[0-5]\d)\s?(?:hours|hrs)\b"
    + rf"|\b(?P<h4>\d{{1,2}}|{_HOURS})\s+o'clock\b" + _PART.format("part4")
    + rf"|\b(?P<past>half|(?:a\s+)?quarter)\s+(?P<way>past|to)\s+(?P<h5>\d{{1,2}}|{_HOURS})\b" + _PART.format("part5")
    + r"|\b(?P<twelve>noon|midday|midnight)\b",
    re.IGNORECASE,
)  # fmt: skip


def find_times(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, canonical text) of each time of day.

    >>> [t for _, _, t in find_times("Open from 7:30 a.m. to 19:30, at noon, at 9 o'clock, at half past 8 at night.")]
    ['07:30', '19:30', '12:00', "9 o'clock", '20:30']
    """
    for match in _TIME.finditer(text):
        readings = _readings(match)
        if readings:
            yield match.start(), match.end(), match.group() if len(readings) > 1 else next(iter(readings))


@lru_cache(maxsize=4096)
def parse_time(text: str) -> frozenset[str]:
    """The readings, as HH:MM, of a text that is only a time of day; empty otherwise.

    >>> sorted(parse_time("7:30")), sorted(parse_time("7:30 pm"))
    (['07:30', '19:30'], ['19:30'])
    """
    match = _TIME.fullmatch(text)
    return _readings(match) if match else frozenset()


def _readings(match: re.Match[str]) -> frozenset[str]:
    got = {name: value for name, value in match.groupdict().items() if value}
    if "twelve" in got:
        return frozenset({"00:00" if got["twelve"].lower() == "midnight" else "12:00"})
    written = next(value for name, value in got.items() if name[0] == "h" and name[1].isdigit())
    hour = (
        int(written)
        if written.isdigit()
        else int(find_numbers(f"{written} o'clock")[0].values[0])
        if written.lower() != "one"
        else 1
    )
    minute = int(next((value for name, value in got.items() if name[0] == "m"), 0))
    if "past" in got:
        minute = 30 if got["past"].lower() == "half" else 15
        if got["way"].lower() == "to":
            hour, minute = hour - 1, 60 - minute
    if hour > 23 + (minute == 0):
        return frozenset()
    part = next((value.lower() for name, value in got.items() if name.startswith(("half", "part"))), "")
    if part:
        late = part in ("p", "afternoon", "evening") or (part == "night" and hour >= 6)
        return frozenset({f"{hour % 12 + 12 * late:02}:{minute:02}"} if hour <= 12 else {f"{hour:02}:{minute:02}"})
    certain = hour > 12 or hour == 0 or written.startswith("0") or not {"h3", "h6"}.isdisjoint(got)
    return frozenset({f"{hour % 24:02}:{minute:02}"} | (set() if certain else {f"{(hour + 12) % 24:02}:{minute:02}"}))
