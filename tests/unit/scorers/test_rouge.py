"""ROUGE recall against the rouge_score package, and its bit-parallel subsequence against the textbook table."""

import random

import pytest

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.rouge import SCORER, lcs_length, rouge1_recall, rougeL_recall

VOCABULARY = ("Ann Lee writes novels novel about the sea seas, walks walking in gardens; she's 42 née 東京").split()  # noqa: SIM905


def test_equal_to_rouge_score() -> None:
    from rouge_score import rouge_scorer

    chance = random.Random(0)
    for stemmer in (True, False):
        theirs = rouge_scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=stemmer)
        for _ in range(150):
            a, b = (" ".join(chance.choices(VOCABULARY, k=chance.randint(1, 30))) for _ in range(2))
            expected = theirs.score(f"Ann {a}", b)
            assert rouge1_recall(f"Ann {a}", b, stemmer=stemmer) == pytest.approx(expected["rouge1"].recall, abs=1e-12)
            assert rougeL_recall(f"Ann {a}", b, stemmer=stemmer) == pytest.approx(expected["rougeL"].recall, abs=1e-12)


def _table(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def test_lcs_equals_the_textbook_table() -> None:
    chance = random.Random(1)
    for _ in range(300):
        a, b = ("".join(chance.choices("abc", k=chance.randint(0, 90))) for _ in range(2))
        assert lcs_length(a, b) == _table(a, b)


def test_a_reference_without_words_is_unscored() -> None:
    sample = Sample(id="1", task="t", split="forget", question="q", reference="…", response="a")
    assert SCORER.score(sample, {})["rougeL_recall"].reason == "reference_has_no_words"
    assert SCORER.score(sample.model_copy(update={"reference": None}), {})["rouge1_recall"].reason == "no_reference"


def test_two_long_texts_are_compared_exactly() -> None:
    chance = random.Random(2)
    long = " ".join(chance.choices(["sea", "bee", "ann", "lee", "oak"], k=20_000))
    assert rougeL_recall(long, long) == 1.0
