"""Inference rules without a model: slots that two texts fill differently.

    contradiction   a yes against a no; a slot filled differently; the same statement negated, or with the opposite word
    entailment      every content word of the hypothesis is in the premise
    neutral         anything else: an empty text, a refusal, other facts

A *slot* holds facts that exclude one another: a date, a time, an e-mail address, a quoted title, a person's full name,
an award, a university, the occupation of a parent, a birthplace, a genre, a number of something, an amount in a unit.
Two texts conflict in a slot when both fill it and share no value, in any notation; words both take from the
question are shared, so they never conflict. Extra detail on one side is not a conflict.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from unlearn_bench.evidence.entities import typed_spans
from unlearn_bench.scorers.base import Inference
from unlearn_bench.text import vocabulary
from unlearn_bench.text.quantities import CURRENCIES
from unlearn_bench.text.values import any_same, read, standard

# Weights, not calibrated probabilities: how sure the kind of rule is.
_SURE, _LIKELY, _UNDECIDED = 0.9, 0.8, 0.7
_SAME_STATEMENT = 0.6  # share of words two sentences must have in common to be one statement, negated or turned round
_COVERED = 0.9
_SENTENCES = 100  # searched for negation: bounds the work for very long texts
_MAX_CHARS = 20_000

_YES = re.compile(r"\W*(?:yes|yeah|indeed|certainly|absolutely|definitely|of course|correct|true)\b", re.I)
_NO = re.compile(r"\W*(?:no|nope|incorrect|false)\b(?!\s+(?:doubt|matter|wonder|one))", re.I)
_NEGATION = re.compile(
    r"\b(?:not(?!\s+(?:only|just|merely|limited))|never|no|none(?!\s+other)|neither|cannot|yet\s+to|\w+n't)\b", re.I
)
_REFUSAL = re.compile(
    r"\b(?:i\s+(?:do\s+not|don't|cannot|can't|am\s+not\s+able|am\s+unable|have\s+no|could\s+not|couldn't|am\s+not\s+sure)|i'm\s+(?:not|unable|sorry)|"
    r"(?:no|not)\s+(?:\w+\s+)?(?:information|data|details?)\b|not\s+(?:\w+\s+)?(?:known|available|disclosed)|beyond\s+my\s+knowledge|unknown\s+to\s+me|"
    r"as\s+an\s+ai)\b",
    re.I,
)
_REGNAL = re.compile(r"[IVX]{2,5}|the [A-Z][a-z]+")  # of rulers: Henry VIII, Henry the Eighth
_SENTENCE = re.compile(r"[^.!?\n]+")
_KIN = frozenset(
    [
        "father",
        "mother",
        "dad",
        "mom",
        "parent",
        "parents",
        "brother",
        "sister",
        "wife",
        "husband",
        "son",
        "daughter",
        "spouse",
        "grandfather",
        "grandmother",
    ]
)
_REACH = 12  # words after a relative within which an occupation belongs to them

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
    if _conflicts(p.slots, h.slots):
        return Inference("contradiction", _SURE)
    if _opposed(p, h):
        return Inference("contradiction", _LIKELY)
    if len(h.words & p.words) >= _COVERED * len(h.words):
        return Inference("entailment", _SURE)
    return Inference("neutral", _UNDECIDED)


def refuses(text: str) -> bool:
    """Whether a text declines to answer or says that it does not know, anywhere in it."""
    return _read(text).refusal


@lru_cache(maxsize=4096)
def _read(text: str) -> _Reading:
    text = standard(text[:_MAX_CHARS])
    sentences = tuple(
        (frozenset(_telling(s)), bool(_NEGATION.search(s)))
        for s in (m.group() for m in _SENTENCE.finditer(text))
        if s.strip()
    )[:_SENTENCES]
    words = frozenset().union(*(s for s, _ in sentences)) if sentences else frozenset()
    answer = 1 if _YES.match(text) else -1 if _NO.match(text) else 0
    return _Reading(_slots(text), sentences, words, answer, bool(_REFUSAL.search(text)))


def _telling(text: str) -> Iterable[str]:
    return (
        vocabulary.key(w)
        for w in vocabulary.words(text)
        if not vocabulary.is_stopword(w) and not vocabulary.is_vague(w)
    )


def _slots(text: str) -> Slots:
    found: dict[str, set[str]] = {}
    spans = typed_spans(text)
    for i, (start, end, entity, kind) in enumerate(spans):
        slot = _slot(entity, kind, spans[i + 1][2] if i + 1 < len(spans) else "")
        if kind == "number" and _REGNAL.fullmatch(text, start, end):
            slot = "regnal number"
        if slot:
            found.setdefault(slot, set()).add(entity)
    _trades(text, found)
    _classes(text, found)
    return {slot: frozenset(values) for slot, values in found.items()}


def _slot(entity: str, kind: str, following: str) -> str | None:
    """What an entity excludes others from, if anything: a second first name is a conflict, a second place is not."""
    if kind in ("e-mail", "title", "address", "phone", "time"):
        return kind
    if kind == "code":  # codes of one shape: two passports, not a passport and a flight
        return "code " + re.sub(r"\d", "9", re.sub(r"[A-Z]", "A", entity))
    if kind == "date":
        return "date" if len(entity) > len("1991-05") else "month"
    if kind == "number":
        return _number_slot(entity, following)
    if kind == "name" and " " in entity:
        heads = [t for t in map(vocabulary.fold, entity.split()) if t in vocabulary.NAME_HEADS]
        return f"name of {vocabulary.stem(heads[0])}" if heads else "name"
    return None


def _number_slot(entity: str, following: str) -> str | None:
    value = read(entity)
    unit = value.quantity.unit if value and value.quantity else ""
    if unit:
        return "money" if unit in CURRENCIES else f"amount in {unit}"
    if len(entity) == 4 and entity.isdigit() and entity[0] in "12":
        return "year"
    return f"number of {vocabulary.stem(following)}" if following else None


def _trades(text: str, found: dict[str, set[str]]) -> None:
    """Occupations of relatives: "her father, a chef", "her chef father"."""
    words = [vocabulary.fold(w) for w in vocabulary.words(text)]
    owner, left = "", 0
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in _KIN:
            owner, left = vocabulary.key(word), _REACH
        elif vocabulary.lexicon().exclusive.get(word) == "occupation":
            whose = vocabulary.key(following) if following in _KIN else owner if left else ""
            if whose:
                found.setdefault(f"occupation of {whose}", set()).add(vocabulary.key(word))
        left = max(0, left - 1)


def _classes(text: str, found: dict[str, set[str]]) -> None:
    classes = vocabulary.lexicon().exclusive
    for word in vocabulary.words(text):
        kind = classes.get(vocabulary.fold(word))
        if kind and kind not in ("occupation", "month"):
            found.setdefault(kind, set()).add(vocabulary.stem(word))


def _conflicts(p: Slots, h: Slots) -> bool:
    """Whether a slot conflicts; of the relatives' occupations all must: half right is not a contradiction."""
    shared = p.keys() & h.keys()
    trades = {slot for slot in shared if slot.startswith("occupation")}
    if trades and all(_conflict(slot, p[slot], h[slot]) for slot in trades):
        return True
    return any(_conflict(slot, p[slot], h[slot]) for slot in shared - trades)


def _conflict(slot: str, a: frozenset[str], b: frozenset[str]) -> bool:
    if slot == "title" or slot.startswith("name"):
        return not any(_share(x, y, slot) for x in a for y in b)
    return a.isdisjoint(b) and not any_same(a, b)


def _share(x: str, y: str, slot: str) -> bool:
    a, b = (frozenset(_telling_name(e)) for e in (x, y))
    if slot == "title":
        return 2 * len(a & b) >= min(len(a), len(b))
    return bool(a & b)


def _telling_name(entity: str) -> Iterable[str]:
    return (
        vocabulary.stem(w)
        for w in vocabulary.words(entity)
        if not vocabulary.is_stopword(w) and vocabulary.fold(w) not in vocabulary.NAME_HEADS
    )


def _opposed(p: _Reading, h: _Reading) -> bool:
    negation_differs = any(n for _, n in p.sentences) != any(n for _, n in h.sentences)
    opposites = vocabulary.lexicon().antonyms
    for a, a_negated in p.sentences:
        for b, b_negated in h.sentences:
            shared = len(a & b)
            if shared < 2 or shared < _SAME_STATEMENT * min(len(a), len(b)):
                continue
            if negation_differs and a_negated != b_negated:
                return True
            if any(not opposites[word].isdisjoint(b - a) for word in (a - b) & opposites.keys()):
                return True
    return False
