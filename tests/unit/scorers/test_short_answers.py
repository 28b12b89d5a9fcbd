"""Measures of short answers by hand: token F1, exact and literal match, n-gram entropy, ROUGE-L F1."""

import random

import pytest

from unlearn_bench.schema import Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.ngram_entropy import ngram_entropy
from unlearn_bench.scorers.rouge_f1 import rougeL_f1


def _value(scorer: str, reference: str | None, response: str, aliases: tuple[str, ...] = (), metric: str | None = None):
    sample = Sample(
        id="1", task="t", role="world", question="q", reference=reference, response=response, aliases=list(aliases)
    )
    found = SCORERS.get(scorer).score(sample, {})[metric or scorer]
    return getattr(found, "reason", found)


@pytest.mark.parametrize(
    ("scorer", "reference", "response", "aliases", "value"),
    [
        ("token_f1", "Jon Haug", "It was Jon Haug.", (), 2 * 2 / 6),
        ("token_f1", "Jon Haug", "Mira", ("Mira",), 1.0),
        ("token_f1", "the", "", (), 1.0),
        ("token_f1", "Jon", "", (), 0.0),
        ("exact_match", "The Harbour", "harbour!", (), 1.0),
        ("exact_match", "True", "Not not True is True. So the answer is True.", (), 1.0),
        ("exact_match", "(A)", "So the answer is (A).", (), 1.0),
        ("exact_match", "(A)", ",,, , ,", (), 0.0),
        ("exact_match", "(A)", "(B)", (), 0.0),
        ("exact_match", "(A)", "", (), 0.0),
        ("exact_match", "Jon", "Mira", ("Mira", "Ann"), 1.0),
        ("literal_match", "1984-12-31", " 1984-12-31\n", (), 1.0),
        ("literal_match", "Madera", "madera", (), 1.0),
        ("literal_match", "Madera", "Madera.", (), 0.0),
        ("token_f1", None, "a", (), "no_reference"),
        ("exact_match", None, "a", (), "no_reference"),
        ("literal_match", None, "a", (), "no_reference"),
    ],
)
def test_by_hand(scorer, reference, response, aliases, value):
    assert _value(scorer, reference, response, aliases) == value


def test_repetition_has_no_entropy():
    assert ngram_entropy("no " * 200) == 0.0
    assert ngram_entropy(", " * 90) == 0.0
    assert 0 < ngram_entropy("Ann keeps bees. Ann keeps bees.") < ngram_entropy("Ann keeps bees and sells old maps.")


def test_rouge_f1_is_that_of_rouge_score():
    from rouge_score import rouge_scorer

    chance, words = random.Random(0), ["Ann", "walks", "walking", "seas", "sea,", "42"]
    for stemmer in (True, False):
        theirs = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=stemmer)
        for _ in range(60):
            a, b = (" ".join(chance.choices(words, k=chance.randint(1, 12))) for _ in range(2))
            assert rougeL_f1(a, b, stemmer=stemmer) == pytest.approx(theirs.score(a, b)["rougeL"].fmeasure, abs=1e-12)
    assert _value("rouge_f1", "…", "a", metric="rougeL_f1") == "reference_has_no_words"
