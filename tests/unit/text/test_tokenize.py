"""Tokens: identical to NLTK's word_tokenize where its data is installed, and right where it is not."""

import random
from pathlib import Path

import pytest

from unlearn_bench.text.tokenize import _ABBREVIATIONS, tokenizer, words


def test_a_full_stop_within_the_text_is_its_own_token() -> None:
    # the Treebank tokenizer alone would leave "born." whole
    assert words("Ann was born. She writes.") == ("ann", "was", "born", ".", "she", "writes", ".")


@pytest.mark.parametrize("text", ["in St. Petersburg today", "in Washington D.C. politics", "by J. Smith in 1990"])
def test_abbreviations_and_initials_keep_theirs(text: str) -> None:
    assert words(text) == tuple(text.lower().split())


def test_nothing_is_downloaded_and_the_source_is_named() -> None:
    assert tokenizer(builtin=True).source == "built-in"
    assert tokenizer().source in ("built-in", "punkt_tab")
    assert len(_ABBREVIATIONS) == 156  # as in NLTK's punkt_tab/english


def _nltk_has_punkt() -> bool:
    return tokenizer().source == "punkt_tab"


@pytest.mark.skipif(not _nltk_has_punkt(), reason="NLTK's punkt_tab is not installed here")
def test_identical_to_word_tokenize_where_punkt_is_installed(shared_data: Path) -> None:
    from nltk import word_tokenize

    chance = random.Random(0)
    words_and_marks = "administrators b-week i j 1990 3.5 the who rj . ! ? ... \" ' ) 東"
    pieces = [*sorted(_ABBREVIATIONS), *words_and_marks.split()]
    texts = [
        " ".join(chance.choice(pieces) + chance.choice(["", ".", ". ", "?", ","]) for _ in range(chance.randint(2, 12)))
        for _ in range(3000)
    ]
    texts += (shared_data / "tofu/forget10.json").read_text(encoding="utf-8").lower().splitlines()
    builtin = tokenizer(builtin=True)
    assert [builtin.split(t) for t in texts] == [word_tokenize(t) for t in texts]
    assert builtin.name == tokenizer().name  # equal tokens, equal fingerprint


def test_an_endless_answer_is_split_in_time() -> None:
    assert len(tokenizer().split("a" * 100_000)) == 1
    assert len(tokenizer().split("at " * 33_333)) == 33_333
