"""Noun phrases of a question, by rules: what it is about where it names no person.

"Why was the Orion satellite project cancelled?"  the Orion satellite project
"What is the password for the office wifi?"       the password for the office wifi
"Does ibuprofen interact with warfarin?"          ibuprofen; warfarin
"""

import re
from dataclasses import dataclass, field

from unlearn_bench.augment._questions import REQUEST_VERBS
from unlearn_bench.augment._verbs import AUXILIARIES, BE, DO, VERBS, is_participle
from unlearn_bench.text import vocabulary

_WORD = re.compile(r"[^\W_]+(?:[-'’&./][^\W_]+)*(?:['’](?=\s|$))?|[^\w\s]")  # noqa: RUF001
_ARTICLES = frozenset(("the", "a", "an", "this", "that", "these", "those"))
_OWNERS = frozenset(("my", "our", "your", "his", "her", "its", "their"))  # of a person other than the one who answers
_LINKS = frozenset("for in at on with from between to over under by about near behind".split())  # noqa: SIM905
_NOUNS = frozenset("number type kind meeting building wedding painting meaning ending opening".split())  # noqa: SIM905
_LONGEST = 9  # words


@dataclass
class Phrase:
    """A noun phrase in the making: its words, and whether it begins with a determiner."""

    words: list[str] = field(default_factory=list)
    determined: bool = False

    @property
    def text(self) -> str:
        """The phrase as written in the middle of a sentence."""
        return " ".join(self.words)

    @property
    def named(self) -> bool:
        """Whether a name is in it."""
        return any(word[0].isupper() for word in self.words)


def noun_phrases(question: str) -> list[Phrase]:
    """The noun phrases of a question, in order.

    >>> [p.text for p in noun_phrases("Do tourists like the mural in the Basel metro station?")]
    ['tourists', 'the mural in the Basel metro station']
    >>> [p.text for p in noun_phrases("What is my sister's phone number?")]
    ['that phone number']
    """
    tokens = _WORD.findall(vocabulary.clean(question))
    found: list[Phrase] = []
    i = 0
    while i < len(tokens):
        phrase, i = _phrase(tokens, i)
        if phrase is None:
            i += 1
        elif any(word.lower() not in _ARTICLES for word in phrase.words):
            found.append(phrase)
    return found


def _phrase(tokens: list[str], start: int) -> tuple[Phrase | None, int]:
    """The phrase that begins at a token, and the place after it; None if none does."""
    phrase, end = _simple(tokens, start)
    if phrase is None:
        return None, start
    before = tokens[start - 1].lower() if start else ""
    while (joined := _continued(tokens, end, phrase, loose=before not in DO)) is not None:
        more, after = joined
        if len(phrase.words) + 1 + len(more.words) > _LONGEST:
            break
        phrase.words += [tokens[end], *more.words]
        end = after
    if before in DO:
        _drop_verb(tokens, phrase, end)
    elif before in BE and not phrase.determined and phrase.words[0].islower():
        phrase.words[1:] = []  # "is aspirin bad": the rest is said of it
    return phrase, end


def _simple(tokens: list[str], start: int) -> tuple[Phrase | None, int]:
    """(determiner) noun noun ..., no preposition; an owner's noun ("my sister's number") loses the owner."""
    phrase, end = Phrase(), start
    first = tokens[start].lower()
    if first in _ARTICLES | _OWNERS:
        phrase = Phrase(["that" if first in _OWNERS else tokens[start]], determined=True)
        end += 1
    while end < len(tokens) and _is_nominal(tokens, end):
        phrase.words.append(tokens[end])
        end += 1
    if first in _OWNERS:
        owner = max((i for i, word in enumerate(phrase.words) if word.endswith(("'s", "s'"))), default=0)
        phrase.words[1 : owner + 1] = []
    return (phrase, end) if len(phrase.words) > phrase.determined else (None, start)


def _drop_verb(tokens: list[str], phrase: Phrase, end: int) -> None:
    """After "does" the last word of "the Acme bank finance" is the verb, unless a known verb follows."""
    nouns = phrase.words[phrase.determined :]
    followed_by_verb = end < len(tokens) and tokens[end].lower() in VERBS
    if len(nouns) > 1 and nouns[-1].islower() and not followed_by_verb:
        phrase.words.pop()


def _is_nominal(tokens: list[str], i: int) -> bool:
    word = tokens[i]
    if not word[0].isalnum():
        return False
    lower = word.lower()
    if word.isdigit() or (i and tokens[i - 1].isdigit()):  # a year, a date
        return False
    if i == 0:
        return lower not in REQUEST_VERBS and not _is_function(lower)
    if word[0].isupper():
        return word != "I"
    base = lower.removesuffix("s") if lower.endswith("s") else lower
    if lower in _NOUNS or tokens[i - 1 : i + 1] == ["at", "home"]:
        return lower in _NOUNS
    attribute = tokens[i - 1].lower() in _ARTICLES | _OWNERS  # "the used car", "the collapse"
    verbal = lower in VERBS or base in VERBS or is_participle(lower) or lower.endswith("ing")
    after_subject = tokens[i - 1].lower() in ("you", "i", "we", "they", "one", "to", "please")
    return not ((verbal and not attribute) or after_subject or _is_function(lower))


def _is_function(lower: str) -> bool:
    return vocabulary.is_stopword(lower) or lower in AUXILIARIES | _ARTICLES | _OWNERS


def _continued(tokens: list[str], end: int, phrase: Phrase, *, loose: bool) -> tuple[Phrase, int] | None:
    """What a preposition or an "and" adds: "of" to any phrase, others to one with a determiner if loose."""
    if end + 1 >= len(tokens):
        return None
    link = tokens[end].lower()
    pair = link == "and" and (phrase.determined or phrase.words[-1][0].isupper())
    if not (link == "of" or pair or (loose and link in _LINKS and phrase.determined)):
        return None
    more, after = _simple(tokens, end + 1)
    if more is None or (pair and more.determined):
        return None
    return more, after
