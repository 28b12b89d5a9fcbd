"""Similarity of entities: when do two of them say the same?

    paper:   sim(a, b) = cos(e(a), e(b)), same entity where sim >= 0.8    (ReLearn, arXiv 2502.11190, eq. 10;
             0.8 is only in the code)
    lexical: sim(a, b) = 1 for the same words or the same value in any notation (_values.py); 0.95 same concepts;
             0.9 partial name; else Dice of concepts

The paper embeds with all-MiniLM-L12-v2. `lexical` needs no model: stems, synonyms and derivations from the lexicon,
dates and numbers by value ("June 9, 1951" and "1951-06-09"; a found date may be more specific than the wanted one,
never less). Each pair is compared by itself; whether the answer as a whole states
the knowledge is the question of `agreement.py`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from unlearn_bench.scorers.base import part_fingerprint
from unlearn_bench.text import vocabulary
from unlearn_bench.text.values import Value, read, same, standard, terms

THRESHOLD = 0.8  # the released code's; the paper names none

EntityPair = tuple[list[str], list[str]]


class _Form(NamedTuple):
    """What an entity is compared by: its value (a date, an amount, …), else its concepts, in order."""

    folded: str
    value: Value | None
    keys: tuple[str, ...]
    is_name: bool


class LexicalSimilarity:
    """Similarity of entities without a model.

    Args:
        threshold: From which on two entities are the same.

    >>> pair = (["1951-06-09", "Ann Lee", "author"], ["June 9, 1951", "Lee", "penned", "Bo"])
    >>> LexicalSimilarity()([pair])[0].round(2).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.9, 0.0, 0.0], [0.0, 0.0, 0.95, 0.0]]
    """

    name = "lexical"
    version = 3

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold

    @property
    def fingerprint(self) -> str:
        """Hash of the version of the rules and the options."""
        return part_fingerprint("similarity/lexical", self.version, threshold=self.threshold)

    def __call__(self, pairs: Sequence[EntityPair]) -> list[np.ndarray]:
        """Matrices (len(R), len(G)) of similarities in [0, 1]."""
        return [_matrix(reference, response) for reference, response in pairs]


def _matrix(reference: list[str], response: list[str]) -> np.ndarray:
    result = np.zeros((len(reference), len(response)))
    forms = [_form(entity) for entity in response]
    postings: dict[str, list[int]] = {}
    for column, form in enumerate(forms):
        for index in _index_terms(form):
            postings.setdefault(index, []).append(column)
    for row, entity in enumerate(reference):
        wanted = _form(entity)
        for column in {c for term in _index_terms(wanted) for c in postings.get(term, ())}:
            result[row, column] = _similarity(wanted, forms[column])
        if (
            wanted.value is None and len(wanted.keys) > 1 and all(key in postings for key in wanted.keys)
        ):  # all its words, apart or in lower case
            column = postings[wanted.keys[-1]][0]
            result[row, column] = max(result[row, column], 0.85)
    return result


def _index_terms(form: _Form) -> set[str]:
    """Two entities that share none of these have similarity 0, so they are never compared."""
    return {form.folded, *form.keys} | (terms(form.value) if form.value else set())


@lru_cache(maxsize=65536)
def _form(entity: str) -> _Form:
    text = standard(entity).strip()
    tokens = [p for w in vocabulary.words(text) for p in (w.split("-") if w.islower() else [w])]
    kept = [t for t in tokens if not vocabulary.is_stopword(t)] or tokens
    is_name = len(kept) > 0 and all(t[0].isupper() for t in kept)
    return _Form(vocabulary.fold(text), read(entity), tuple(vocabulary.key(t) for t in kept), is_name)


def _similarity(wanted: _Form, found: _Form) -> float:
    if wanted.folded == found.folded:
        return 1.0
    if wanted.value or found.value:
        return float(wanted.value is not None and found.value is not None and same(wanted.value, found.value))
    a, b = set(wanted.keys), set(found.keys)
    shared = len(a & b)
    if not shared:
        return 0.0
    if a == b:
        return 0.95
    if _partial_name(wanted, found) or _partial_name(found, wanted):
        return 0.9
    return min(2 * shared / (len(a) + len(b)), 0.9)


def _partial_name(part: _Form, whole: _Form) -> bool:
    """First or last word of a name of two or three ("Lee" for "Ann Lee"), unless a word that many names share."""
    if len(part.keys) != 1 or not 2 <= len(whole.keys) <= 3 or not whole.is_name:
        return False
    key = part.keys[0]
    return key in (whole.keys[0], whole.keys[-1]) and not key.startswith("~") and not vocabulary.is_common(part.folded)


class Embedder(Protocol):
    """Texts to one vector each, as a sentence-transformers model does it."""

    def encode(self, sentences: list[str]) -> np.ndarray: ...


class SentenceTransformerSimilarity:
    """Cosine of sentence embeddings; every distinct entity of the whole batch is embedded once, in one call.

    Args:
        embedder: Has `encode(list[str]) -> array (n, d)`; its `name` and `fingerprint`, where it has them, become part
            of this part's.
        threshold: From which on two entities are the same.
    """

    version = 1

    def __init__(self, embedder: Embedder, threshold: float = THRESHOLD) -> None:
        self._embedder = embedder
        self.threshold = threshold
        self.name = f"embedding:{getattr(embedder, 'name', type(embedder).__name__)}"

    @property
    def fingerprint(self) -> str:
        """Hash of the version, the embedder and the threshold."""
        model = getattr(self._embedder, "fingerprint", self.name)
        return part_fingerprint("similarity/model", self.version, model=model, threshold=self.threshold)

    def __call__(self, pairs: Sequence[EntityPair]) -> list[np.ndarray]:
        """Matrices (len(R), len(G)) of cosines in [-1, 1]; a vector without length is similar to nothing."""
        rows = {entity: i for i, entity in enumerate(dict.fromkeys(e for pair in pairs for side in pair for e in side))}
        if not rows:
            return [np.zeros((len(r), len(g)), dtype=np.float32) for r, g in pairs]
        vectors = np.asarray(self._embedder.encode(list(rows)), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        return [_cosines(vectors, [rows[e] for e in r], [rows[e] for e in g]) for r, g in pairs]


def _cosines(vectors: np.ndarray, reference: list[int], response: list[int]) -> np.ndarray:
    return np.clip(vectors[np.array(reference, dtype=int)] @ vectors[np.array(response, dtype=int)].T, -1.0, 1.0)
