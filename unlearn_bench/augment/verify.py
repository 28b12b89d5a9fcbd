"""Content verification: an augmented text must not state what is to be forgotten, and must be an answer at all.

    leaked(q, a, t) = { r in E(a) - words of q - ordinary words  :  some g in E(t) has sim(r, g) >= 0.8 }
    clean where empty

E are the entities by rules (evidence/entities.py), sim is lexical (dates and numbers by value, names in part,
synonyms).
An entity of the reference is *ordinary*, and no secret, if it is one lower-case word that frames or praises
("renowned"), or that the references of a quarter of the data set's subjects use ("home", "town"); an occupation never
is. Stricter than the coverage of KFR, which looks at names, dates and numbers alone where there are some. Without
a list of ordinary words (`--strict-secrets`) every content word is a secret.

ReLearn (arXiv 2502.11190, section 3.3) asks a chat model, which ends its reasoning in Yes or No; the released code
accepts any text with "no" in its last five characters. Here the verdict is a field, and a chat model's opinion comes on
top.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from unlearn_bench.evidence.coverage import drop_question_words
from unlearn_bench.evidence.entities import extract
from unlearn_bench.evidence.similarity import LexicalSimilarity
from unlearn_bench.scorers.fluency import fluency
from unlearn_bench.text import vocabulary
from unlearn_bench.text.degenerate import degenerate

Ordinary = frozenset[str]  # roots of words

MIN_FLUENCY = 0.5  # what kfr_fluent asks of an answer
_SIMILARITY = LexicalSimilarity()
_YES_NO = re.compile(r"^\W*(yes\b|no\b(?=\s*(?:[^\w\s]|$)))", re.IGNORECASE)  # "No answer is known" is no "no"
_PUNCTUATION = re.compile(r"[^\w\s]|_")


def ordinary_words(
    references: Sequence[str], subjects: Sequence[str], *, share: float = 0.25, least: int = 4
) -> Ordinary:
    """Words that the references about many subjects use, by root: they say nothing about any one of them.

    Args:
        references: The sensitive answers.
        subjects: What each is about.
        share: Of the subjects that must use a word.
        least: Subjects that must use it in any case.

    >>> sorted(ordinary_words(["Ann lives in Oslo.", "Bo lives in Rome."], ["Ann", "Bo"], least=2))
    ['life']
    """
    users: dict[str, set[str]] = {}
    for reference, subject in zip(references, subjects, strict=True):
        for entity in extract(reference):
            if _is_plain_word(entity) and entity not in vocabulary.lexicon().exclusive:
                users.setdefault(vocabulary.stem(entity), set()).add(subject)
    enough = max(least, share * len(set(subjects)))
    return frozenset(root for root, those in users.items() if len(those) >= enough)


def _is_plain_word(entity: str) -> bool:
    return entity.isalpha() and entity.islower()


def leaked(question: str, reference: str, text: str, ordinary: Ordinary | None = None) -> list[str]:
    """Entities of the reference that a text gives away, beyond the question's own words.

    Args:
        question: Whose words may be said again.
        reference: The sensitive answer.
        text: The text to be judged.
        ordinary: What `ordinary_words` found in the data set; None is strict.

    >>> leaked("Where was Ann Lee born?", "Ann Lee was born in Oslo in 1951.", "Ann Lee grew up in Oslo.")
    ['Oslo']
    >>> leaked("Where was Ann Lee born?", "Ann Lee was born in Oslo in 1951.", "Ann Lee was born in a quiet place.")
    []
    """
    wanted = [e for e in _new(reference, question) if ordinary is None or not _is_ordinary(e, ordinary)]
    found = _beyond(question, extract(text))
    said = [word for word in (_yes_no(reference),) if word and word == _yes_no(text)]
    if not wanted or not found:
        return said
    matrix = _SIMILARITY([(wanted, found)])[0]
    return said + [entity for entity, row in zip(wanted, matrix, strict=True) if row.max() >= _SIMILARITY.threshold]


@lru_cache(maxsize=4096)
def _new(reference: str, question: str) -> tuple[str, ...]:
    return tuple(_beyond(question, extract(reference)))


def _is_ordinary(entity: str, ordinary: Ordinary) -> bool:
    return _is_plain_word(entity) and (vocabulary.is_vague(entity) or vocabulary.stem(entity) in ordinary)


def _beyond(question: str, entities: list[str]) -> list[str]:
    """Entities that say more than the question; "lives" where it asks "live" does not, nor 2 where it says "two"."""
    asked = _asked(question)
    left = drop_question_words(entities, question)
    return [e for e in left if e not in asked and asked.isdisjoint(_forms(e.casefold()))]


@lru_cache(maxsize=4096)
def _asked(question: str) -> frozenset[str]:
    words = (form for word in plain(question).split() for form in _forms(word))
    return frozenset([*extract(question), *words])


def _forms(word: str) -> set[str]:
    """A word in lower case with and without the endings that a question takes off ("does she live", "she lives")."""
    return {word} | {word.removesuffix(end) for end in ("s", "es", "d", "ed") if len(word) - len(end) > 2}


def _yes_no(text: str) -> str | None:
    return match[1].lower() if (match := _YES_NO.match(text)) else None


def answer_problem(question: str, reference: str, answer: str, ordinary: Ordinary | None = None) -> str | None:
    """Why an answer cannot be used ("leak: Oslo", "degenerate: repetition", "not_fluent: 0.25", …), or None.

    >>> answer_problem("Where was Ann Lee born?", "In Oslo.", "The birds sing in the morning.")
    'not_fluent: 0.25'
    """
    if found := leaked(question, reference, answer, ordinary):
        return f"leak: {', '.join(found)}"
    if reason := degenerate(answer):
        return f"degenerate: {reason}"
    if same_text(answer, reference):
        return "original_answer"
    value = fluency(question, answer)
    return None if value > MIN_FLUENCY else f"not_fluent: {value:.2f}"


def question_problem(
    question: str, reference: str, variant: str, forbidden: frozenset[str], ordinary: Ordinary | None = None
) -> str | None:
    """Why a variant of a question cannot be used, or None.

    Args:
        question: The original question; its words may be repeated.
        reference: The sensitive answer.
        variant: The text to be judged.
        forbidden: `plain` forms of the questions that it may not equal.
        ordinary: What `ordinary_words` found in the data set; None is strict.

    >>> question_problem("Where was Ann born?", "In Oslo.", "where was ann born", frozenset({"where was ann born"}))
    'same_question'
    """
    if reason := degenerate(variant):
        return f"degenerate: {reason}"
    if plain(variant) in forbidden:
        return "same_question"
    if found := leaked(question, reference, variant, ordinary):
        return f"leak: {', '.join(found)}"
    return None


def plain(text: str) -> str:
    """Lower case, without punctuation, white space normalised: what two equal questions share.

    >>> plain("Where was Ann's  dog?")
    'where was ann s dog'
    """
    return " ".join(_PUNCTUATION.sub(" ", text.casefold()).split())


def same_text(a: str, b: str) -> bool:
    """Whether two texts differ in case and punctuation at most."""
    return plain(a) == plain(b)
