"""Who or what a question is about, so that a vague answer can stay on the subject.

A person is a name of two words or more that does not stand as a place ("in Manama"); over a whole data set the name
that most questions share wins. Without a name the role is taken ("the author born in ..." gives "that author"), then
the question's noun phrase.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unlearn_bench.augment._verbs import VERBS, is_participle
from unlearn_bench.scorers import _text
from unlearn_bench.scorers.entities import typed_spans

_PLACE_BEFORE = re.compile(r"\b(?:in|at|from|near|on|to)\s+(?:the\s+)?$|,\s*$")
_ROLE = re.compile(
    r"\b((?:film |marine |science |theatre )?"
    r"(?:[a-z]*(?:author|writer|poet|novelist|director|wright|architect|composer|[a-z]{2}ologist|[a-z]{3}ographer|botanist|"
    r"astronomer|historian|clockmaker|illustrator|chef|glassblower|puppeteer|mathematician|sculptor|painter|singer|musician|"
    r"actor|actress|scientist|physicist|chemist|engineer|doctor|lawyer|teacher|professor|politician|president|inventor|"
    r"philosopher|journalist|player|athlete|artist|person|woman|man|figure)))\b",
    re.IGNORECASE,
)
_OF_ROLE = re.compile(r"\bof\s+$", re.IGNORECASE)
_PRONOUN = re.compile(r"\b(?:he|she|his|her|him|they|their|them)\b")
_HUMAN = re.compile(r"^(?:who|whom|whose)\b", re.IGNORECASE)
_NOUN_PHRASE = re.compile(
    r"\b((?:the|a|an)\s+(?:[\w-]+\s+){0,3}?[\w-]+\s+(?:of|in|for)\s+(?:the\s+|a\s+)?[\w-]+(?:\s+[A-Z0-9][\w-]*)*)"
)
_ORGANISATION = _text.NAME_HEADS | frozenset(
    """corp corporation inc ltd co gmbh group bank agency party church council tower bridge river mountain lake war wars
    treaty act project system theory law effect museum theatre club team band""".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Topic:
    """What an answer should be about.

    Attributes:
        name: How it is called in the middle of a sentence ("Ann Lee", "that author", "the capital of France").
        kind: "person" (also a role) or "thing".
        known: Whether the question names it; a role or a noun phrase only describes it.
    """

    name: str
    kind: Literal["person", "thing"]
    known: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Ways to call it; a role may be called in several, since it stands for many people."""
        if self.kind == "thing" or self.known:
            return (self.name,)
        role = self.name.removeprefix("that ")
        return self.name, f"this {role}", f"the {role} in question"


def topics(questions: Sequence[str]) -> list[Topic]:
    """The topic of each question, in order; names that many of the questions share are preferred.

    >>> [t.name for t in topics(["Where was Ann Lee born?", "Which author was born in Oslo in 1970?"])]
    ['Ann Lee', 'that author']
    """
    candidates = [_names(question) for question in questions]
    count = Counter(name for names in candidates for name, _ in names)
    return [_topic(q, names, count) for q, names in zip(questions, candidates, strict=True)]


def _topic(question: str, names: list[tuple[str, bool]], count: Counter[str]) -> Topic:
    people = [(name, placed) for name, placed in names if " " in name and not _is_thing(name)]
    free = [name for name, placed in people if not placed or count[name] > 2]
    if free:
        best = max(count[name] for name in free)
        return Topic(next(name for name in free if count[name] == best), "person")
    if role := _role(question):
        return Topic(f"that {role}", "person", known=False)
    if (
        names
        and (_PRONOUN.search(question) or _HUMAN.match(question))
        and not names[0][1]
        and not _is_thing(names[0][0])
    ):
        return Topic(names[0][0], "person")
    return _thing(question, names)


def _thing(question: str, names: list[tuple[str, bool]]) -> Topic:
    if title := _title(question):
        return Topic(f'"{title}"', "thing")
    if found := _NOUN_PHRASE.search(question):
        return Topic(found[1], "thing", known=False)
    if names:
        return Topic(names[0][0], "thing")
    if nouns := _nouns(question):
        return Topic(nouns[0] if len(nouns) == 1 else f"the topic of {' and '.join(nouns)}", "thing", known=False)
    return Topic(f'the question "{question.strip()}"', "thing", known=False)


def _is_thing(name: str) -> bool:
    words = name.lower().split()
    return words[0] == "the" or words[-1].rstrip("s.") in _ORGANISATION or words[-1] in _ORGANISATION


def _nouns(question: str) -> list[str]:
    """The first and the last word that may be a noun, with their articles: rough, but of the question."""
    words = [word.strip(",.;:!?\"'()") for word in question.lower().split()]
    found = []
    for before, word in zip(["", *words], words, strict=False):
        verbal = word in VERBS or is_participle(word) or word.endswith("ing")
        if word.isalpha() and not _text.is_stopword(word) and not verbal:
            found.append(f"{before} {word}" if before in ("a", "an", "the") else word)
    return list(dict.fromkeys([*found[:1], *found[-1:]]))


def _role(question: str) -> str | None:
    return match[1].lower() if (match := _ROLE.search(question)) else None


def _title(question: str) -> str | None:
    spans = typed_spans(_text.clean(question))
    return next((entity for _, _, entity, kind in spans if kind == "title"), None)


def _names(question: str) -> list[tuple[str, bool]]:
    """(name, whether it stands where a place would) of the names in a question, in order."""
    text = _text.clean(question)
    found = []
    for start, _, entity, kind in typed_spans(text):
        if kind == "name" and not (start == 0 and _text.is_common(entity.split()[0])):
            if text[:start].lower().endswith(("the ", "an ", "a ")):
                entity = f"the {entity}"
            placed = bool(_PLACE_BEFORE.search(text[:start])) and not _OF_ROLE.search(text[:start])
            found.append((entity.removesuffix("'s").rstrip("'"), placed))
    return list(dict.fromkeys(found))
