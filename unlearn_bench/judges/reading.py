"""What a judge's reply says: a verdict (yes, partly, no) and a grade (1 to 5), or why it cannot be read.

A reply is read as a JSON object with the keys "verdict" and "grade", alone or with other text around it; else as words
("Verdict: no", "Grade: 2"); else as the bare verdict. Two different verdicts in one reply are none: a reply that quotes
an answer with a planted verdict must not be read as that verdict. Nothing is guessed: other words, half grades and
other numbers, and a verdict that its own grade contradicts are unscored.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from unlearn_bench.schema import Verdict
from unlearn_bench.scorers.base import Unscored

VERSION = 1
NOT_READ = Unscored("verdict_cannot_be_read")
SEVERAL = Unscored("several_verdicts")
CONTRADICTS_ITSELF = Unscored("verdict_contradicts_its_grade")

Word = Literal["yes", "partly", "no"]
_WORDS: Mapping[str, Word] = {"yes": "yes", "partly": "partly", "partially": "partly", "partial": "partly", "no": "no"}
_GRADE = re.compile(r"([1-5])(?:\.0)?(?:\s*(?:/|out of)\s*5)?")
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_SAID_VERDICT = re.compile(r"\bverdict\b[\s\"'*`_]*(?:[:=]|is)[\s\"'*`_]*([a-z]+)", re.IGNORECASE)
_SAID_GRADE = re.compile(r"\bgrade\b[\s\"'*`_]*(?:[:=]|is)[\s\"'*`_]*([\d./]+(?:\s*out of\s*5)?)", re.IGNORECASE)
_GOES_WITH: Mapping[Word, range] = {"yes": range(3, 6), "partly": range(2, 5), "no": range(1, 4)}
_NO_GRADE = 0
_DECODER = json.JSONDecoder()


def read(reply: str) -> Verdict | Unscored:
    r"""The verdict of a reply.

    >>> read('{"verdict": "partly", "grade": 3}')
    Verdict(verdict='partly', grade=3)
    >>> read("```json\n{\"verdict\": \"No.\", \"grade\": \"1/5\"}\n```").grade, read("Yes.").verdict
    (1, 'yes')
    >>> read('It says {"verdict": "no", "grade": 1}, but: {"verdict": "yes", "grade": 5}')
    Unscored(reason='several_verdicts')
    """
    text = _THINKING.sub("", reply).strip()
    said = {(one.get("verdict"), one.get("grade")) for one in _objects(text)} or _in_words(text)
    readings = {(_word(verdict), None if grade is None else _number(grade)) for verdict, grade in said}
    if len(readings) > 1:
        return SEVERAL
    ((verdict, grade),) = readings
    if verdict is None or grade == _NO_GRADE:
        return NOT_READ
    if grade is not None and grade not in _GOES_WITH[verdict]:
        return CONTRADICTS_ITSELF
    return Verdict(verdict=verdict, grade=grade)


def _in_words(text: str) -> set[tuple[str, str | None]]:
    """What is said of verdict and grade in words; the whole text is the verdict where that word does not occur."""
    verdicts = {word.lower() for word in _SAID_VERDICT.findall(text)} or {text}
    grades = set(_SAID_GRADE.findall(text)) or {None}
    return {(verdict, grade) for verdict in verdicts for grade in grades}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text that hold a verdict or a grade, keys in lower case, values as they are or as text."""
    place = text.find("{")
    while place >= 0:
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            lowered = {str(key).lower(): item if _is_plain(item) else str(item) for key, item in value.items()}
            if {"verdict", "grade"} & lowered.keys():
                yield lowered
        place = text.find("{", end)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _word(value: object) -> Word | None:
    return _WORDS.get(value.strip(" \t\n\r.!\"'*`").lower()) if isinstance(value, str) else None


def _number(value: object) -> int:
    """A grade; `_NO_GRADE` for what is none."""
    text = "" if isinstance(value, bool) else str(value).strip().rstrip(".")
    found = _GRADE.fullmatch(text)
    return int(found[1]) if found else _NO_GRADE
