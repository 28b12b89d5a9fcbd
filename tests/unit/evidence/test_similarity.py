"""Lexical and embedding similarity of entities."""

import numpy as np
import pytest

from unlearn_bench.evidence import similarity as embedding_similarity
from unlearn_bench.evidence.similarity import LexicalSimilarity, SentenceTransformerSimilarity


def _same(wanted: str, found: str) -> bool:
    part = LexicalSimilarity()
    return bool(part([([wanted], [found])])[0][0, 0] >= part.threshold)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("June 9, 1951", "1951-06-09"),
        ("1951", "9 June 1951"),
        ("05/11/1991", "May 11, 1991"),
        ("cultural", "culture"),
        ("penned", "authored"),
        ("Ann Lee", "Lee"),
        ("Lee", "Ann Lee"),
        ("twelve", "12"),
        ("1,200", "1200"),
        ("Ann@Sea.org", "ann@sea.org"),
        ("time manipulation", "manipulation of time"),
        ("Beltrán", "Beltran"),
    ],
)
def test_same(wanted: str, found: str) -> None:
    assert _same(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("June 9, 1951", "June 20, 1951"),
        ("June 9, 1951", "1951"),
        ("1951", "1952"),
        ("Ann Lee", "Ann Marsh"),
        ("Golden Quill Award", "Silver Quill Award"),
        ("mother", "father"),
        ("ann@sea.org", "bo@sea.org"),
        ("author", "authority"),
        ("historic", "history teacher"),
        ("Low Tide at Dawn", "High Tide at Noon"),
    ],
)
def test_different(wanted: str, found: str) -> None:
    assert not _same(wanted, found)


def test_a_name_in_lower_case_or_in_two_entities_is_found() -> None:
    matrix = LexicalSimilarity()([(["Salt Roads of Odense Bay"], ["salt", "roads", "Odense Bay", "bay", "odense"])])[0]
    assert (matrix >= 0.8).sum() == 1


def test_shapes_and_long_lists() -> None:
    assert [m.shape for m in LexicalSimilarity()([([], ["a"]), (["a"], []), ([], [])])] == [(0, 1), (1, 0), (0, 0)]
    many = [f"word{i}" for i in range(2000)]
    assert LexicalSimilarity()([(many, many)])[0].trace() == 2000


def test_only_entities_that_share_a_word_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    whole = embedding_similarity._similarity
    monkeypatch.setattr(embedding_similarity, "_similarity", lambda a, b: (compared.append(1), whole(a, b))[1])
    many = [f"word{i}" for i in range(500)]
    LexicalSimilarity()([(many, many)])
    assert len(compared) == 500


class _Embedder:
    name = "fake"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, sentences: list[str]) -> np.ndarray:
        self.calls.append(sentences)
        return np.array([[3.0, 4.0] if s == "a" else [4.0, 3.0] if s == "b" else [0.0, 0.0] for s in sentences])


def test_cosines_of_one_call() -> None:
    embedder = _Embedder()
    first, second = SentenceTransformerSimilarity(embedder, threshold=0.8)([(["a", "z"], ["b", "a"]), (["b"], [])])
    # cos((3, 4), (4, 3)) = 24 / 25; a vector of zeros is similar to nothing
    np.testing.assert_allclose(first, [[0.96, 1.0], [0.0, 0.0]], atol=1e-6)
    assert second.shape == (1, 0)
    assert embedder.calls == [["a", "z", "b"]]


def test_nothing_to_embed_asks_nobody() -> None:
    embedder = _Embedder()
    assert SentenceTransformerSimilarity(embedder)([([], [])])[0].shape == (0, 0)
    assert embedder.calls == []


def test_fingerprint_holds_the_threshold() -> None:
    assert LexicalSimilarity(0.8).fingerprint != LexicalSimilarity(0.7).fingerprint
