"""Inference rules without a model: slots that two texts fill differently.

    contradiction   a yes against a no; a slot filled differently; the same statement negated, or with the opposite word
    entailment      every telling word of the hypothesis stands in the premise
    neutral         anything else: an empty text, a refusal, other facts

A *slot* holds facts that exclude one another: a date, an e-mail address, a quoted title, a person's full name, an award, a university,
the occupation of a parent, a birthplace, a genre, a number of something. Two texts conflict in a slot when both fill it and share
no value; words both take from the question are shared, so they never conflict. Extra detail on one side is no conflict.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from unlearn_bench.scorers import _text
from unlearn_bench.scorers._base import Inference
from unlearn_bench.scorers._dates import find_dates, parse_date, same_date
from unlearn_bench.scorers._numbers import find_numbers
from unlearn_bench.scorers.entities import extract

# Weights, not calibrated probabilities: how sure the kind of rule is.
_SURE, _LIKELY, _UNDECIDED = 0.9, 0.8, 0.7
_SAME_STATEMENT = 0.6  # share of words two sentences must have in common to be one statement, negated or turned round
_COVERED = 0.9
_SENTENCES = 100  # looked at for negation: bounds the work for very long texts
_MAX_CHARS = 20_000

_YES = re.compile(r"\W*(?:yes|yeah|indeed|certainly|absolutely|definitely|of course|correct|true)\b", re.I)
_NO = re.compile(r"\W*(?:no|nope|incorrect|false)\b(?!\s+(?:doubt|matter|wonder|one))", re.I)
_NEGATION = re.compile(
    r"\b(?:not(?!\s+(?:only|just|merely|limited))|never|no|none|neither|cannot|without|\w+n't)\b", re.I
)
_REFUSAL = re.compile(
    r"\b(?:i\s+(?:do\s+not|don't|cannot|can't|am\s+not\s+able|am\s+unable|have\s+no|could\s+not|couldn't|am\s+not\s+sure)|i'm\s+(?:not|unable|sorry)|"
    r"(?:no|not)\s+(?:\w+\s+)?(?:information|data|details?)\b|not\s+(?:\w+\s+)?(?:known|available|disclosed)|beyond\s+my\s+knowledge|unknown\s+to\s+me|"
    r"as\s+an\s+ai)\b",
    re.I,
)
_SENTENCE = re.compile(r"[^.!?\n]+")
_QUOTED = re.compile(r"""["'][^"'\n]{0,160}""")
_HEADS = frozenset(
    "award prize medal honor honour fellowship university college institute academy school hospital street avenue".split()
)  # noqa: SIM905
_KIN = frozenset(
    "father mother dad mom parent parents brother sister wife husband son daughter spouse grandfather grandmother".split()
)  # noqa: SIM905
_COMMON_TRADES = frozenset("author novelist writer poet editor".split())  # noqa: SIM905

Slots = dict[str, frozenset[str]]


class _Reading(NamedTuple):
    slots: Slots
    sentences: tuple[tuple[frozenset[str], bool], ...]  # telling words, negated
    words: frozenset[str]
    answer: int  # +1 opens with yes, -1 with no, 0 neither
    refusal: bool


def infer(premise: str, hypothesis: str) -> Inference:
    """Judge one pair.

    >>> infer("No, she has not.", "Yes, she has won prizes.")
    Inference(label='contradiction', probability=0.9)
    """
    p, h = _read(premise), _read(hypothesis)
    if p.refusal or h.refusal:
        return Inference("neutral", _UNDECIDED)
    if p.answer * h.answer < 0:
        return Inference("contradiction", _SURE)
    if not p.words or not h.words:
        return Inference("neutral", _UNDECIDED)
    if any(_conflict(slot, p.slots[slot], h.slots[slot]) for slot in p.slots.keys() & h.slots.keys()):
        return Inference("contradiction", _SURE)
    if _opposed(p, h):
        return Inference("contradiction", _LIKELY)
    if len(h.words & p.words) >= _COVERED * len(h.words):
        return Inference("entailment", _SURE)
    return Inference("neutral", _UNDECIDED)


@lru_cache(maxsize=4096)
def _read(text: str) -> _Reading:
    text = _text.clean(text)[:_MAX_CHARS]
    sentences = tuple(
        (frozenset(_telling(s)), bool(_NEGATION.search(s)))
        for s in (m.group() for m in _SENTENCE.finditer(text))
        if s.strip()
    )[:_SENTENCES]
    words = frozenset().union(*(s for s, _ in sentences)) if sentences else frozenset()
    answer = 1 if _YES.match(text) else -1 if _NO.match(text) else 0
    return _Reading(_slots(text), sentences, words, answer, bool(_REFUSAL.search(text)))


def _telling(text: str) -> Iterable[str]:
    return (_text.key(w) for w in _text.words(text) if not _text.is_stopword(w) and not _text.is_vague(w))


def _slots(text: str) -> Slots:
    found: dict[str, set[str]] = {}
    rest = list(text)
    for start, end, date in find_dates(text):
        found.setdefault("date" if len(date) > 7 else "month", set()).add(date)
        rest[start:end] = " " * (end - start)
    plain = "".join(rest)
    for start, end, number in find_numbers(plain):
        unit = _text.WORD.search(plain, end, end + 30)
        year = len(number) == 4 and number[0] in "12" and plain[start:end].isdigit()
        if year or unit:
            found.setdefault("year" if year else f"number of {_text.stem(unit.group())}", set()).add(number)  # type: ignore[union-attr]
    quoted = {_text.clean(q)[1:].strip(" ,.;") for q in _QUOTED.findall(text)}
    for entity in extract(text):
        _file(entity, found, quoted)
    _trades(text, found)
    _classes(text, found)
    return {slot: frozenset(values) for slot, values in found.items()}


def _file(entity: str, found: dict[str, set[str]], quoted: set[str]) -> None:
    tokens = entity.split()
    if "@" in entity:
        found.setdefault("e-mail", set()).add(entity.lower())
    elif any(q.startswith(entity) for q in quoted):
        found.setdefault("title", set()).add(entity)
    elif len(tokens) > 1 and entity[0].isupper():
        heads = [t.lower() for t in tokens if t.lower() in _HEADS]
        found.setdefault(heads[0] if heads else "name", set()).add(entity)


def _trades(text: str, found: dict[str, set[str]]) -> None:
    """Occupations, under the relative they belong to: from a word of kinship to the next one."""
    trades = _text.lexicon().exclusive
    owner, left = "", 0
    for word in _text.words(text):
        folded = _text.fold(word)
        if folded in _KIN:
            owner, left = _text.key(folded), 12
        elif owner and left and trades.get(_text.stem(folded)) == "occupation":
            found.setdefault(f"occupation of {owner}", set()).add(_text.key(folded))
        left = max(0, left - 1)


def _classes(text: str, found: dict[str, set[str]]) -> None:
    classes = _text.lexicon().exclusive
    for word in _text.words(text):
        kind = classes.get(_text.stem(word))
        if kind and kind not in ("occupation", "month"):
            found.setdefault(kind, set()).add(_text.stem(word))


def _conflict(slot: str, a: frozenset[str], b: frozenset[str]) -> bool:
    if slot in ("date", "month"):
        return not any(
            same_date(parse_date(x), parse_date(y)) or same_date(parse_date(y), parse_date(x)) for x in a for y in b
        )
    if slot in ("title", "name", *_HEADS):
        return not any(_share(x, y, slot) for x in a for y in b)
    return not a & b


def _share(x: str, y: str, slot: str) -> bool:
    a, b = (frozenset(_telling_name(e, slot)) for e in (x, y))
    if slot == "title":
        return 2 * len(a & b) >= min(len(a), len(b))
    return bool(a & b)


def _telling_name(entity: str, slot: str) -> Iterable[str]:
    return (_text.stem(w) for w in _text.words(entity) if not _text.is_stopword(w) and w.lower() != slot)


def _opposed(p: _Reading, h: _Reading) -> bool:
    opposites = _text.lexicon().antonyms
    for a, a_negated in p.sentences:
        for b, b_negated in h.sentences:
            shared = len(a & b)
            if shared < 2 or shared < _SAME_STATEMENT * min(len(a), len(b)):
                continue
            if a_negated != b_negated:
                return True
            if any(not opposites[word].isdisjoint(b - a) for word in (a - b) & opposites.keys()):
                return True
    return False
