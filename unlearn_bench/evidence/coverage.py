"""Entity coverage: how much of the reference's content the response states.

    E = |R and G| / |R|        ReLearn (arXiv 2502.11190), eq. 10; r and g are one entity where sim(r, g) >= threshold

R and G are the entities of the reference and of the response, less the words of the question. Known implementations
differ: the released code counts matched *pairs*, so that E may exceed 1 (matching="released"), and drops words of the
question from G only (question_words="released"), so that a reference which repeats its question can never be covered.
The default matches one to one (maximum bipartite matching) and drops on both sides.
"""

from functools import lru_cache
from typing import Literal

import numpy as np

from unlearn_bench.scorers.base import Unscored
from unlearn_bench.text import tokenize, vocabulary
from unlearn_bench.text.values import Value, read, same, special_spans, standard

Matching = Literal["one_to_one", "released"]
QuestionWords = Literal["symmetric", "released", "keep"]

SHORT_ANSWER = 0.5  # an answer with fewer entities than this share of the reference's is held to what is decisive only
SPECIFIC_SHARE = 0.2  # from this share on, what can be checked is what the reference is about

NO_ENTITIES = Unscored("reference_has_no_entities")


def coverage(
    reference: list[str],
    response: list[str],
    matrix: np.ndarray,
    *,
    threshold: float = 0.8,
    matching: Matching = "one_to_one",
) -> float | Unscored:
    """Share of the reference's entities found in the response.

    Args:
        reference: Entities of the reference.
        response: Entities of the response.
        matrix: Similarities, shape (len(reference), len(response)).
        threshold: From which similarity on two entities are the same.
        matching: "one_to_one": in [0, 1]; "released": matched pairs over |R|, may exceed 1.

    Returns:
        E, or `Unscored` where the reference has no entity: undefined is not zero.

    Raises:
        ValueError: if the matrix has another shape.

    >>> coverage(["Oslo", "bee"], ["bee", "bees"], np.array([[0, 0], [1, 0.9]]), threshold=0.8)
    0.5
    >>> coverage(["Oslo", "bee"], ["bee", "bees"], np.array([[0, 0], [1, 0.9]]), threshold=0.8, matching="released")
    1.0
    """
    if matrix.shape != (len(reference), len(response)):
        raise ValueError(f"matrix must have the shape {(len(reference), len(response))}, not {matrix.shape}")
    if not reference:
        return NO_ENTITIES
    same = np.asarray(matrix) >= threshold
    matched = int(same.sum()) if matching == "released" else _maximum_matching(same)
    return matched / len(reference)


def _maximum_matching(same: np.ndarray) -> int:
    same = same[same.any(axis=1)][:, same.any(axis=0)]
    if same.size == 0:
        return 0
    if same.sum(axis=0).max() == 1 or same.sum(axis=1).max() == 1:  # no two want the same one: nothing to choose
        return min(same.shape)
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(same), perm_type="column") >= 0).sum())


def drop_question_words(entities: list[str], question: str) -> list[str]:
    """Entities that say something which the question does not.

    An entity is dropped when all its content words, by root or synonym, stand in the question: "novelist" where it
    asks for a novel,
    "Lee" where it names Ann Lee, but not "Ann Lee Prize". A date is dropped when the question gives it, in any
    form.

    >>> drop_question_words(["Ann Lee", "wrote", "Salt Roads", "novels"], "Which novel did Ann Lee write?")
    ['Salt Roads']
    """
    asked = _keys(question)
    values = [
        value for _, _, text, kind in special_spans(standard(question)) if kind != "title" and (value := read(text))
    ]
    return [entity for entity in entities if not _asked(entity, asked, values)]


def _asked(entity: str, asked: frozenset[str], values: list[Value]) -> bool:
    value = read(entity)
    if value and any(same(value, other) for other in values):
        return True
    return not (value and value.dates) and _keys(entity) <= asked


def without_question(
    reference: list[str], response: list[str], question: str, *, question_words: QuestionWords = "symmetric"
) -> tuple[list[str], list[str]]:
    """Reference and response entities that coverage is computed from.

    "symmetric": words of the question are dropped on both sides. A short answer, with fewer entities than half the
    reference's, is held to what can be checked (names, titles, numbers, dates), or, where there is nothing of the kind,
    to all but the words that only frame or praise ("renowned", "plays a role"). Where the reference is left empty, it
    repeats its question (a yes-no question, a choice), and both sides keep everything: what is left then is to repeat
    it too, and the inference judges yes and no. "released": response entities that share any token of NLTK's
    `word_tokenize` with the question are dropped, reference entities never. "keep": nothing is dropped.

    >>> without_question(["Ann", "works", "Oslo"], ["Ann", "Rome"], "Where does Ann work?")
    (['Oslo'], ['Rome'])
    >>> without_question(["Ann", "bees"], ["bees"], "Has Ann bees?")
    (['Ann', 'bees'], ['bees'])
    """
    if question_words == "keep":
        return reference, response
    if question_words == "released":
        asked = set(tokenize.words(question))
        return reference, [entity for entity in response if asked.isdisjoint(tokenize.words(entity))]
    new, said = drop_question_words(reference, question), drop_question_words(response, question)
    return held_to(new, said) or (reference, response)


def held_to(new: list[str], said: list[str]) -> tuple[list[str], list[str]] | None:
    """What coverage is computed from, of the entities that the question does not have; None where there are none.

    >>> held_to(["Oslo", "bees", "Ann Lee"], ["Oslo"])
    (['Oslo', 'Ann Lee'], ['Oslo'])
    """
    if not new:
        return None
    if len(said) >= SHORT_ANSWER * len(new):
        return new, said
    return [entity for entity in new if is_specific(entity)] or decisive(new), said


def decisive(entities: list[str]) -> list[str]:
    """What a reference is about: what can be checked, where that is a fifth of it; else all but the framing words.

    >>> decisive(["renowned", "Ann Lee", "bees"]), decisive(["renowned", "bees"]), decisive(["renowned"])
    (['Ann Lee'], ['bees'], ['renowned'])
    """
    telling = [
        entity for entity in entities if not all(vocabulary.is_vague(w) for w in vocabulary.words(entity))
    ] or entities
    checkable = [entity for entity in telling if is_specific(entity)]
    return checkable if checkable and len(checkable) >= SPECIFIC_SHARE * len(telling) else telling


def is_specific(entity: str) -> bool:
    """A name, title, number, date or e-mail address: what can be checked, where other words can be said otherwise.

    >>> [is_specific(e) for e in ("Ann Lee", "1990", "Danish", "bees")]
    [True, True, False, False]
    """
    if entity[:1].isupper():
        return " " in entity or not vocabulary.is_common(entity)  # "Danish" is an adjective like others
    return "@" in entity or any(c.isdigit() for c in entity)


@lru_cache(maxsize=16384)
def _keys(text: str) -> frozenset[str]:
    words = [part for word in vocabulary.words(standard(text)) for part in {word, *word.split("-")}]
    return frozenset(vocabulary.key(word) for word in words if word and not vocabulary.is_stopword(word))
