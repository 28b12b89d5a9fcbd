"""Vague answers from the bank data/vague_answers.json: on the subject, fluent, and about nothing in particular.

A sentence is chosen by what the question is about (its *aspect*: birth, family, an award, …), then by its question
word, then from those that fit any question. Within one topic a sentence comes back only when the others are used up,
and no text is written twice.
"""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

from unlearn_bench.augment._draw import Draw
from unlearn_bench.augment._questions import parse
from unlearn_bench.augment._topic import Topic

_DATA = Path(__file__).parent / "data"
_CHOICE = re.compile(r"\[([^\]]+)\]")
_TIER = 0.7  # how many earlier uses a sentence of the better-fitting group may have before the next group's turn
_BY_TYPE = {"which": "what", "request": "any", "other": "any"}


@cache
def bank() -> dict[str, dict[str, list[str]]]:
    """Kind of topic to aspect to sentences, read once; not to be changed."""
    return json.loads((_DATA / "vague_answers.json").read_text(encoding="utf-8"))


@cache
def _aspects() -> list[tuple[str, re.Pattern[str]]]:
    pairs = json.loads((_DATA / "aspects.json").read_text(encoding="utf-8"))
    return [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in pairs]


def aspects(question: str, topic: Topic) -> list[str]:
    """Groups of the bank that fit a question, the best first; "any" is always the last.

    >>> aspects("Where was Ann Lee born?", Topic("Ann Lee", "person"))
    ['birth', 'where', 'any']
    """
    text = question.replace(topic.name, "X Y")
    groups = bank()[topic.kind]
    matched = [name for name, pattern in _aspects() if name in groups and pattern.search(text)][:2]
    kind = parse(question).type
    by_type = [name for name in (_BY_TYPE.get(kind, kind),) if name in groups]
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
    """A supply of vague answers that does not repeat itself."""

    def __init__(self) -> None:
        self._uses: Counter[tuple[str, str]] = Counter()
        self._written: set[str] = set()
        self._of_source: set[tuple[str, str]] = set()

    def next(self, source: str, question: str, topic: Topic, draw: Draw) -> str | None:
        """A sentence about the topic that was not written before; None when the bank is used up.

        Where the question names nobody ("that author"), a sentence may come back for another source: the topics that
        share a role are different ones.
        """
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
        chosen = next(fresh, None) or next(again, None)
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
