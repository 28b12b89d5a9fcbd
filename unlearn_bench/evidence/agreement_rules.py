"""What a reader would compare to see whether an answer states the sought knowledge; no model.

    wording      precision, recall with the question's words, longest run of words in common
    facts        coverage, the asked name or number, invented names and numbers
    inference    contradiction
    yes or no    the same, the opposite, and whether the reference asks for more than that
    no answer    a refusal, "not known" on both sides, broken text

"New" words and entities are those that the question does not have. Words are compared by root or concept and weighted:
framing words half, longer words more, since longer words are rarer and say more (Zipf's law of abbreviation).
`decide` names the answers that one rule settles: an option, a bare yes or no, a short phrase that stands in the answer
word for word, a short reference that is wholly covered, or contradicted, or made of names and numbers that are not
there, a reference that only says that nothing is known. What else such an answer says does not count against it.

Words are compared as sets: who does what is not seen ("his father is a baker, his mother a nurse" against the reverse),
nor which of two is the larger, nor that "Bo's brother" is not Bo.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np

from unlearn_bench.evidence.amounts import in_units_of
from unlearn_bench.evidence.coverage import coverage, drop_question_words, held_to, is_specific
from unlearn_bench.evidence.entities import extract
from unlearn_bench.evidence.inference_rules import infer, refuses
from unlearn_bench.evidence.similarity import THRESHOLD, LexicalSimilarity
from unlearn_bench.evidence.statement import Verdict, is_unsure, same_polarity, states
from unlearn_bench.text import vocabulary
from unlearn_bench.text.degenerate import degenerate, is_empty
from unlearn_bench.text.values import read, standard

SHORT = 3  # entities of a reference that an answer can state by the way
FEATURES = (
    "precision",  # of the answer's new words, the share that the reference has
    "recall",  # of all the reference's words, the share that the answer has
    "run",  # log(1 + longest run of the reference's new words that stands in the answer)
    "coverage",  # entity coverage E, as KFR's
    "asked",  # of the reference's names or numbers of the asked kind, the share that the answer has
    "invented",  # of the answer's new names and numbers, the share that the reference does not have
    "short",  # the reference has at most `SHORT` entities
    "contradiction",  # the answer contradicts the reference
    "polarity",  # +1 the answer says yes or no as a short reference does, -1 it says the opposite
    "agrees",  # the answer says yes or no as the reference does
    "disagrees",  # the answer says the opposite
    "agrees_enough",  # "agrees", and the reference names nothing that the question does not
    "agrees_only",  # "agrees" times log(1 + the reference's new words): how much more there was to say
    "fact_recall",  # share of the reference's new words, where the question asks for a name, number or kind
    "refusal",  # the answer refuses or does not know, the reference does not
    "broken",  # the answer is empty or no language
)
_LONG = 10  # letters of a word that weighs 1
_FRAMING = 0.5
_SAME_NAME = 0.5  # share of a name's roots that must stand in the answer: a synonym of a title is another title
_MAX_NAME = 8  # words
_MUCH = 3  # new words of a reference that one word cannot state
_LEADS_ON = frozenset(
    "a an the of in at to for with and or is are was were by from as on his her its their that which who".split()  # noqa: SIM905
)
_MAX_CHARS = 20_000
# letters that are no accented ones, as English writes them; accents are no difference anywhere
_LETTERS = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "ß": "ss"})
_MAX_WORDS = 400  # of which the longest common run is looked for

Kind = Literal["name", "number", "word", ""]
_ASKS = re.compile(
    r"\b(?:(?P<who>who|whom|whose|where)|(?P<number>when|how many|how much|how old|how long|how often)|"
    r"(?:what|which)(?:\s+(?:is|was|are|were)\s+the)?\s+(?:[\w'-]+\s+){0,5}?"
    r"(?:(?P<count>year|date|percentage|price|number|phone)|(?P<kind>genre|professions?|occupations?|species|language|age)|"
    r"(?P<name>name|city|country|town|title|novel|books?|awards?|prizes?|university|universities|address|e-?mail)))\b",
    re.I,
)
_UNKNOWN = re.compile(
    r"\b(?:no\s+(?:\w+\s+)?(?:information|data|records?|details?|evidence)|unclear|unknown|undisclosed|"
    r"not\s+(?:\w+\s+)?(?:known|available|public|disclosed|clear|specified|documented))\b",
    re.I,
)
_DENIAL = re.compile(
    r"\W*(?:it|this|that)(?:\s+is|\s+was|'s)\s+(?:not\s+(?:true|correct|right|the\s+case)|false|untrue|wrong|incorrect)"
    r"\s+(?:that|to\s+say)\b",
    re.I,
)
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|i've|my|me|as\s+an\s+ai)\b", re.I)
_SIMILARITY = LexicalSimilarity()


class _Side(NamedTuple):
    """One text: its words' keys in order, and the weight of each."""

    keys: tuple[str, ...]
    weights: dict[str, float]


@lru_cache(maxsize=4096)
def _side(text: str) -> _Side:
    keys: list[str] = []
    weights: dict[str, float] = {}
    for word in vocabulary.words(standard(text)):
        for part in word.split("-"):
            if part and not vocabulary.is_stopword(part):
                key = vocabulary.key(part)
                weight = (min(len(part), _LONG) / _LONG) ** 0.5 * (_FRAMING if vocabulary.is_vague(part) else 1.0)
                keys.append(key)
                weights[key] = max(weight, weights.get(key, 0.0))
    return _Side(tuple(keys), weights)


@dataclass(frozen=True)
class Reading:
    """Three texts, and what the rules see in them.

    Attributes:
        new, said: Entities of the reference and of the response that the question does not have.
        same: Which of them are the same, shape (len(new), len(said)), bool.
        n_covered: Entities that coverage is computed from.
        coverage: Entity coverage E, as KFR's; 0 where the reference has no entity.
        verdict: What the rules for short references say.
        contradicts: The response contradicts the reference.
        unsure, unsure_reference: The text refuses, or says that something is not known.
        broken: The response is empty or no language.
    """

    question: str
    reference: str
    response: str
    new: list[str]
    said: list[str]
    same: np.ndarray
    n_covered: int
    coverage: float
    verdict: Verdict | None
    contradicts: bool
    unsure: bool
    unsure_reference: bool
    broken: bool

    @classmethod
    def of(cls, question: str, reference: str, response: str) -> "Reading":
        """Read three texts, of each at most 20,000 characters; amounts of the response in the reference's units."""
        question, reference, response = (
            text[:_MAX_CHARS].translate(_LETTERS) for text in (question, reference, response)
        )
        response = in_units_of(reference, response)
        entities = _entities(reference), _entities(response)
        new, said = (drop_question_words(side, question) for side in entities)
        pair = held_to(new, said) or entities
        same, matrix = _SIMILARITY([(new, said), pair])
        covered = coverage(*pair, matrix, threshold=THRESHOLD)
        return cls(
            question,
            reference,
            response,
            new,
            said,
            same >= THRESHOLD,
            len(pair[0]),
            covered if isinstance(covered, float) else 0.0,
            states(question, reference, response),
            infer(response, reference).label == "contradiction",
            *(is_unsure(text) or refuses(text) for text in (response, reference)),
            is_empty(response) or degenerate(response) is not None,
        )

    @property
    def texts(self) -> tuple[str, str, str]:
        """Question, reference and response."""
        return self.question, self.reference, self.response

    @cached_property
    def specific(self) -> list[int]:
        """Which of `new` are names, titles, numbers and dates."""
        return [i for i, entity in enumerate(self.new) if is_specific(entity)]

    @cached_property
    def stated(self) -> set[int]:
        """Which of `new` are in the response: names with their own words, not with synonyms."""
        return {i for i, entity in enumerate(self.new) if self.same[i].any() and _by_name(entity, self.response)}


def _entities(text: str) -> list[str]:
    """Entities of a text; the first word of a bare name ("New York City") is part of the name."""
    told = [word for word in vocabulary.words(text[: 10 * _MAX_NAME]) if not vocabulary.is_stopword(word)]
    bare = len(told) > 1 and len(text) <= 10 * _MAX_NAME and all(word[0].isupper() for word in told)
    return extract(f"it was {text}" if bare else text)


def decide(reading: Reading) -> bool | None:
    """Whether the response states the reference, where one rule settles it; else None.

    >>> [decide(Reading.of("Who won?", "Bo Tan", text)) for text in ("It was Bo Tan, a potter.", "It was not Bo Tan.")]
    [True, False]
    >>> decide(Reading.of("What is Bo Tan known for?", "He is known for his pots.", "For his works in clay."))
    """
    question, reference, response = map(_folded, reading.texts)
    if response in (reference, question):
        return response == reference
    if reading.verdict is not None and reading.verdict.rule != "polarity":
        return reading.verdict.stated
    if _DENIAL.match(reading.response) and not _DENIAL.match(reading.reference):
        return False
    if reading.broken:
        return None
    if _ends_before(reading):
        return False
    if reading.n_covered <= SHORT and (settled := _short(reading)) is not None:
        return settled
    nothing_known = _UNKNOWN.search(reading.reference) and not reading.specific
    return True if nothing_known and _UNKNOWN.search(reading.response) and not _speaks(reading.response) else None


def _ends_before(reading: Reading) -> bool:
    """Whether the response breaks off after a function word, having said next to nothing that the question does not.

    >>> texts = ("His wife is a", "His wife is a potter of")
    >>> [_ends_before(Reading.of("Who is she?", "His wife, a potter of small bowls.", text)) for text in texts]
    [True, False]
    """
    last = re.search(r"(\w+)\s*$", reading.response)
    if last is None or last[1].lower() not in _LEADS_ON:
        return False
    told = _side(reading.question).weights
    new, said = (_side(text).weights.keys() - told for text in (reading.reference, reading.response))
    return len(said) <= 1 and len(new) >= _MUCH and same_polarity(*reading.texts) is None


def _short(reading: Reading) -> bool | None:
    """Whether a reference of few entities is stated: never if it is contradicted, always if it is wholly covered."""
    if reading.contradicts:
        return False
    share = len(reading.stated) / max(1, len(reading.new))
    if reading.coverage == 1.0 and share == 1.0 and not reading.unsure:
        return True
    names_only = bool(reading.new) and len(reading.specific) == len(reading.new)
    return False if names_only and share < 0.5 else None


def features(reading: Reading) -> np.ndarray:
    """What the model of agreement weighs, shape (len(FEATURES),), in the order of `FEATURES`; shares are in [0, 1].

    >>> values = features(Reading.of("Who won the Salt Prize?", "Ann Lee won it.", "It was won by Ann Lee."))
    >>> dict(zip(FEATURES, values.round(2).tolist()))["recall"]
    1.0
    """
    polarity = same_polarity(*reading.texts)
    kind = asked_kind(reading.question) if polarity is None else ""
    declines = reading.unsure and _speaks(reading.response)  # "I do not know" is no news of the world
    found = {
        **_wording(reading, kind),
        **_facts(reading, kind),
        "contradiction": reading.contradicts,
        "refusal": declines or (reading.unsure and not reading.unsure_reference),
        "broken": reading.broken,
    }
    told = reading.verdict is not None and reading.verdict.rule in ("polarity", "yes_no")
    found |= {
        "polarity": (1 if reading.verdict.stated else -1) if told else 0,
        "agrees": polarity == 1,
        "disagrees": polarity == -1,
        "agrees_enough": polarity == 1 and not reading.specific,
        "agrees_only": found.pop("new_words") if polarity == 1 else 0,
    }
    return np.array([float(found[name]) for name in FEATURES])


def _folded(text: str) -> str:
    return " ".join(standard(text).casefold().split()).strip(" .?!\"'")


def _speaks(text: str) -> bool:
    """Whether the speaker is in the text ("I", "my")."""
    return bool(_FIRST_PERSON.search(text))


def asked_kind(question: str) -> Kind:
    """What kind of fact a question asks for: "name", "number", "word" (a genre, a language), or "".

    >>> [asked_kind(q) for q in ("Who won?", "In which year?", "What genre is it?", "How does she write?")]
    ['name', 'number', 'word', '']
    """
    match = _ASKS.search(question)
    if match is None:
        return ""
    if match["kind"]:
        return "word"
    return "number" if match["number"] or match["count"] else "name"


def _wording(reading: Reading, kind: Kind) -> dict[str, float]:
    told = _side(reading.question).weights
    wanted, said = _side(reading.reference), _side(reading.response)
    new, added = ({k: w for k, w in side.weights.items() if k not in told} for side in (wanted, said))
    if not new:  # the reference repeats its question
        new, added = wanted.weights, said.weights
    sides = [[k for k in side.keys if k not in told][:_MAX_WORDS] for side in (wanted, said)]
    run = SequenceMatcher(None, *sides, autojunk=False).find_longest_match().size
    return {
        "precision": _share(added, new),
        "recall": _share(wanted.weights, said.weights),
        "fact_recall": _share(new, added) if kind else 0.0,
        "run": math.log1p(run),
        "new_words": math.log1p(len(new)),
    }


def _share(words: dict[str, float], others: dict[str, float]) -> float:
    """By weight, the share of some words that are among others."""
    return sum(weight for key, weight in words.items() if key in others) / (sum(words.values()) or 1.0)


def _facts(reading: Reading, kind: Kind) -> dict[str, float]:
    asked = _of_kind(reading.new, reading.specific, kind)
    checkable = [i for i, entity in enumerate(reading.said) if is_specific(entity)]
    invented = [i for i in checkable if not reading.same[:, i].any()]
    return {
        "coverage": reading.coverage,
        "asked": len(reading.stated.intersection(asked)) / max(1, len(asked)),
        "invented": len(invented) / max(1, len(checkable)),
        "short": reading.n_covered <= SHORT,
    }


def _by_name(entity: str, response: str) -> bool:
    """Whether a name stands in the response with its own words, not with synonyms; values are not names."""
    roots = {vocabulary.stem(word) for word in vocabulary.words(entity) if not vocabulary.is_stopword(word)}
    return bool(read(entity)) or len(roots & _roots(response)) >= _SAME_NAME * len(roots)


@lru_cache(maxsize=1024)
def _roots(text: str) -> frozenset[str]:
    return frozenset(vocabulary.stem(word) for word in vocabulary.words(standard(text)))


def _of_kind(entities: Sequence[str], specific: list[int], kind: Kind) -> list[int]:
    if kind not in ("name", "number"):
        return []
    number = [i for i in specific if any(character.isdigit() for character in entities[i])]
    return (number if kind == "number" else [i for i in specific if i not in number]) or specific
