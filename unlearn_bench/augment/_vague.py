"""Vague answers from the bank data/vague_answers.json: on the subject, fluent, and about nothing in particular.

A sentence is chosen by what the question is about (its *aspect*: birth, family, an award, …), then by its question
word, then from those that fit any question. Within one topic a sentence comes back only when the others are used up;
when all are, two are said together. No text is written twice about one topic.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path
from types import MappingProxyType

from unlearn_bench.augment._questions import parse
from unlearn_bench.augment._topic import Topic
from unlearn_bench.seeded import SeededRandom

_DATA = Path(__file__).parent / "data"
_CHOICE = re.compile(r"\[([^\]]+)\]")
_TIER = 0.7  # how many earlier uses a sentence of the better-fitting group may have before the next group's turn
_HEADS = (
    ("where", re.compile(r"\b(?:town|city|country|place|region|village|state|continent)\b")),
    ("when", re.compile(r"\b(?:year|date|day|month|century|decade|time)\b")),
    ("why", re.compile(r"\b(?:reason|cause)s?\b")),
)


@cache
def bank() -> dict[str, dict[str, list[str]]]:
    """Kind of topic to aspect to sentences, read once; not to be changed."""
    return json.loads((_DATA / "vague_answers.json").read_text(encoding="utf-8"))


@cache
def _aspects() -> list[tuple[str, re.Pattern[str], frozenset[str]]]:
    """Group of the bank, what of a question calls for it, and the types of question that it does not answer."""
    entries = json.loads((_DATA / "aspects.json").read_text(encoding="utf-8"))
    return [
        (name, re.compile(pattern, re.IGNORECASE), frozenset(*unfit))  # one list, or none
        for name, pattern, *unfit in entries
    ]


def aspects(question: str, topic: Topic) -> list[str]:
    """Groups of the bank that fit a question, the best first; "any" is always the last.

    >>> aspects("Where was Ann Lee born?", Topic("Ann Lee", "person"))
    ['birth', 'where', 'any']
    """
    person = topic.kind == "person"
    text = question.replace(topic.name, "X Y") if person else question
    groups = bank()[topic.kind]
    asked = parse(question)
    fitting = [name for name, pattern, unfit in _aspects() if asked.type not in unfit and pattern.search(text)]
    matched = [name for name in fitting if name in groups][:2]
    by_head = [name for name, pattern in _HEADS if pattern.search(asked.head)]
    # "who" of a person are sentences about who that is: no answer to "Who taught Ann Lee?"
    by_type = [name for name in (*by_head, asked.type) if name in groups and not (person and name == "who")]
    return list(dict.fromkeys([*matched, *by_type, "any"]))


def expand(template: str) -> list[str]:
    """All sentences of a template with alternatives.

    >>> expand("{name} is [kind|calm].")
    ['{name} is kind.', '{name} is calm.']
    """
    match = _CHOICE.search(template)
    if match is None:
        return [template]
    return [
        t
        for option in match[1].split("|")
        for t in expand(template[: match.start()] + option + template[match.end() :])
    ]


class VagueAnswers:
    """A supply of vague answers that does not repeat itself.

    Args:
        register: Id of a source to its sentences: used first, singly and then in pairs.
    """

    def __init__(self, register: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self._register = register
        self._refused: dict[str, set[str]] = {}
        self._uses: Counter[tuple[str, str]] = Counter()
        self._written: set[str] = set()
        self._of_source: set[tuple[str, str]] = set()

    def next(self, source: str, question: str, topic: Topic, draw: SeededRandom) -> str | None:
        """A sentence about the topic that was not written before; None when the bank is used up.

        Where the question names no one ("that author"), a sentence may come back for another source: the topics that
        share a role are different ones.
        """
        own = next((text for text in self._own(source, draw) if text not in self._written), None)
        if own is not None:
            self._written.add(own)
            return own
        return self._from_bank(source, question, topic, draw)

    def refuse(self, source: str, text: str) -> None:
        """Record that a text was refused, so that its sentence is not tried again in a pair."""
        self._refused.setdefault(source, set()).add(text)

    def _own(self, source: str, draw: SeededRandom) -> list[str]:
        """The source's own sentences, then every ordered pair of those that were not refused."""
        single = draw.shuffled(self._register.get(source, ()))
        good = [text for text in single if text not in self._refused.get(source, ())]
        return [*single, *draw.shuffled([f"{a} {b}" for a, b in permutations(good, 2)])]

    def _from_bank(self, source: str, question: str, topic: Topic, draw: SeededRandom) -> str | None:
        groups = bank()[topic.kind]
        ranked = [
            (self._uses[topic.name, template] + _TIER * tier, template)
            for tier, name in enumerate(aspects(question, topic))
            for template in draw.shuffled(groups[name])
        ]
        ordered = [
            (template, fill(sentence, name))
            for _, template in sorted(ranked, key=lambda pair: pair[0])
            for sentence, name in draw.shuffled([(s, n) for s in expand(template) for n in topic.names])
        ]
        fresh = (pair for pair in ordered if pair[1] not in self._written)
        again = (pair for pair in ordered if not topic.known and (source, pair[1]) not in self._of_source)
        two = ((a, f"{x} {y}") for (a, x), (b, y) in permutations(ordered, 2) if a != b)
        fresh_two = (pair for pair in two if pair[1] not in self._written)
        chosen = next(fresh, None) or next(again, None) or next(fresh_two, None)
        if chosen is None:
            return None
        template, text = chosen
        self._written.add(text)
        self._of_source.add((source, text))
        self._uses[topic.name, template] += 1
        return text


def fill(sentence: str, name: str) -> str:
    """Put the topic into a sentence, which begins with a capital letter.

    >>> fill("{name} is calm.", "that author")
    'That author is calm.'
    """
    text = sentence.replace("{name}", name)
    return text[:1].upper() + text[1:]
