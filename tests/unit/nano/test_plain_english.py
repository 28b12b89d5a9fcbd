import re

import pytest

from unlearn_bench.nano.plain_english import prose, sentences
from unlearn_bench.seeded import SeededRandom


@pytest.mark.parametrize("source", [sentences, prose])
def test_sentences_are_well_formed(source):
    for question, text in source(SeededRandom(1, "test"), 400):
        for sentence in (question, *re.split(r"(?<=[.?!]) ", text)):
            assert re.fullmatch(r"[A-Z][^{}]*[.?!]", sentence), sentence
            assert not re.search(r"  |\b[Aa] [aeio]|\b[Aa]n [^aeiou]", sentence), sentence


@pytest.mark.parametrize("source", [sentences, prose])
def test_texts_vary(source):
    texts = {text for _, text in source(SeededRandom(2, "test"), 400)}
    assert len(texts) > 300


def test_same_stream_same_text():
    assert list(prose(SeededRandom(3, "a"), 20)) == list(prose(SeededRandom(3, "a"), 20))
    assert list(prose(SeededRandom(3, "a"), 20)) != list(prose(SeededRandom(3, "b"), 20))
