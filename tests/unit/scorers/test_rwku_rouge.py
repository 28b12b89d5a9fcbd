"""RWKU's ROUGE by hand: sentences at full stops, words at white space, case and punctuation kept, distinct words."""

import pytest

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.scorers.rwku_rouge import SCORER, rwku_rougeL_recall


@pytest.mark.parametrize(
    ("reference", "response", "value"),
    [
        ("Jon Haug", "It was Jon Haug.", 1.0),
        ("Jon Haug", "Haug, Jon", 0.5),
        ("Jon Haug", "jon haug", 0.0),
        ("Jon Haug", "Haug Jon", 0.5),  # order counts
        ("Jon Haug", "It was Jon. And Haug.", 1.0),  # sentences are united
        ("the sea the sea", "the sea", 1.0),  # distinct words
        ("A. Haug", "Haug", 0.5),  # a reference of two sentences
        ("Jon Haug", "", 0.0),
        ("Jon Haug", "...", 0.0),
    ],
)
def test_by_hand(reference, response, value):
    assert rwku_rougeL_recall(reference, response) == value


def test_a_reference_of_full_stops_is_unscored():
    assert isinstance(rwku_rougeL_recall("...", "a"), Unscored)
    sample = Sample(id="1", task="t", role="forget", question="q", reference=None, response="a")
    assert SCORER.score(sample, {})["rwku_rougeL_recall"].reason == "no_reference"
