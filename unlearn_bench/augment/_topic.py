"""Who or what a question is about, so that a vague answer can stay on the subject.

A person is a name of two words or more that is not an organisation and not used as a place ("in Manama"); over a
whole data set the name that most questions share wins. Without a name the role is taken ("the author born in ..." gives
"that author"), then the question's noun phrase. In doubt a name is a thing: what is said of things also fits a person.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unlearn_bench.augment._phrases import noun_phrases
from unlearn_bench.evidence.entities import typed_spans
from unlearn_bench.text import vocabulary

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
_ORGANISATION = vocabulary.NAME_HEADS | frozenset(
    """corp corporation inc ltd co gmbh group bank agency party church council tower bridge river mountain lake war wars
    treaty act project system theory law effect museum theatre club team band logistics energy systems solutions
    technologies technology industries holdings motors airlines airways insurance pharmaceuticals pharma labs
    laboratories software foods media press records studio studios ventures partners capital bakery brewery
    hotel restaurant dam railway airport station operation programme program agreement convention disaster
    crisis festival cup""".split()  # noqa: SIM905
)
_OF_BUSINESS = re.compile(
    r"\b(?:headquarter\w*|revenues?|turnover|shareholders?|subsidiar\w+|stock price|market share|customers?)\b",
    re.IGNORECASE,
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
        """Ways to call it; a role has several, since it covers many people."""
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
    count = Counter(name for names in candidates for name, placed in names if not placed)
    return [_topic(q, names, count) for q, names in zip(questions, candidates, strict=True)]


def _topic(question: str, names: list[tuple[str, bool]], count: Counter[str]) -> Topic:
    business = bool(_OF_BUSINESS.search(question))
    people = [(name, placed) for name, placed in names if " " in name and not _is_thing(name) and not business]
    free = [name for name, placed in people if not placed or count[name] > 2]
    if free:
        best = max(count[name] for name in free)
        return Topic(next(name for name in free if count[name] == best), "person")
    if role := _role(question):
        return Topic(f"that {role}", "person", known=False)
    human = bool(_PRONOUN.search(question) or _HUMAN.match(question)) and not business
    if names and human and not names[0][1] and not _is_thing(names[0][0]):
        return Topic(names[0][0], "person")
    return _thing(question)


def _thing(question: str) -> Topic:
    if title := _title(question):
        return Topic(f'"{title}"', "thing")
    phrases = noun_phrases(question)
    best = next((p for p in phrases if p.named), None) or next((p for p in phrases if p.determined), None)
    if best is not None:
        return Topic(best.text, "thing", known=best.named)
    if phrases:  # without an article two bare nouns are kept together: "ibuprofen and warfarin"
        ends = dict.fromkeys([phrases[0].text, phrases[-1].text])
        return Topic(" and ".join(ends), "thing", known=False)
    return Topic(f'the question "{question.strip()}"', "thing", known=False)


def _is_thing(name: str) -> bool:
    words = name.lower().split()
    return words[0] == "the" or any(w in _ORGANISATION or w.rstrip("s.") in _ORGANISATION for w in words[1:])


def _role(question: str) -> str | None:
    return match[1].lower() if (match := _ROLE.search(question)) else None


def _title(question: str) -> str | None:
    spans = typed_spans(vocabulary.clean(question))
    return next((entity for _, _, entity, kind in spans if kind == "title"), None)


def _names(question: str) -> list[tuple[str, bool]]:
    """(name, whether it is used as a place) of the names in a question, in order."""
    text = vocabulary.clean(question)
    found = []
    for start, _, entity, kind in typed_spans(text):
        if kind == "name" and not (start == 0 and vocabulary.is_common(entity.split()[0])):
            if text[:start].lower().endswith(("the ", "an ", "a ")):
                entity = f"the {entity}"
            placed = bool(_PLACE_BEFORE.search(text[:start])) and not _OF_ROLE.search(text[:start])
            found.append((entity.removesuffix("'s").rstrip("'"), placed))
    return list(dict.fromkeys(found))
