"""Agreement of whole answers, and what it does to coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unlearn_bench.evidence import agreement
from unlearn_bench.evidence.agreement import INTERCEPT, WEIGHTS, calibrate, features, log_odds
from unlearn_bench.evidence.coverage import coverage
from unlearn_bench.evidence.similarity import LexicalSimilarity
from unlearn_bench.scorers.kfr import kfr
from unlearn_bench.scorers.krr import krr


def _same(reference: list[str], response: list[str]) -> np.ndarray:
    return LexicalSimilarity(in_context=False)([(reference, response)])[0] >= 0.8


def _odds(reference: list[str], response: list[str]) -> float:
    return log_odds(reference, response, _same(reference, response))


def test_features_by_hand() -> None:
    reference, response = ["Low Tide", "honey"], ["Low Tide", "bees", "1990"]
    low, tide, honey, bees, year = (math.sqrt(n / 10) for n in (3, 4, 5, 4, 4))  # longer words weigh more
    got = dict(zip(WEIGHTS, features(reference, response, _same(reference, response)), strict=True))
    assert got["recall"] == pytest.approx((low + tide) / (low + tide + honey))
    assert got["precision"] == pytest.approx((low + tide) / (low + tide + bees + year))
    assert got["shared"] == pytest.approx(math.log1p(low + tide))
    assert (got["new"], got["missed"], got["covered"]) == (0.25, 0.0, 1.0)  # one of four; the title is there
    assert _odds(reference, response) == pytest.approx(INTERCEPT + sum(WEIGHTS[k] * got[k] for k in WEIGHTS))


def test_framing_words_weigh_half() -> None:
    same = np.array([[False], [True]])
    with_framing = features(["renowned", "keeper"], ["keeper"], same)[0]
    framing, content = math.sqrt(8 / 10) / 2, math.sqrt(6 / 10)
    assert with_framing == pytest.approx(content / (content + framing))


def test_an_entity_that_is_found_counts_with_all_its_words() -> None:
    assert features(["12"], ["twelve"], np.array([[True]]))[:2].tolist() == [1.0, 1.0]


def test_invented_names_speak_against_an_answer() -> None:
    reference, response = ["honey", "goats", "harbour"], ["honey", "goats", "winter"]
    odds = [_odds(reference, response + ["Low Tide", "Ann Lee", "Odense"][:n]) for n in range(4)]
    assert odds == sorted(odds, reverse=True)
    assert odds[0] > 0 > odds[-1]


@settings(deadline=None, max_examples=200)
@given(hnp.arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0.0, 0.5, 1.0])))
def test_coverage_then_says_what_the_model_says(matrix: np.ndarray) -> None:
    """Both scores' verdicts follow the model, wherever the answer has enough entities to be called known at all."""
    reference = [f"q{chr(97 + i)}" for i in range(matrix.shape[0])]
    response = [f"z{chr(97 + i)}" for i in range(matrix.shape[1])]
    odds = log_odds(reference, response, matrix >= 0.8)
    covered = coverage(reference, response, calibrate(reference, response, matrix, 0.8), threshold=0.8)
    _, needed = agreement._counts(len(reference))
    if odds > 0 and matrix.shape[1] >= needed:
        assert not kfr(covered, False, len(reference))
        assert krr(covered, False)
    if odds <= 0 and not (len(reference) <= 3 and covered == 1):
        assert kfr(covered, False, len(reference))
        assert not krr(covered, False)


def test_without_any_match_nothing_is_lifted() -> None:
    nothing = np.zeros((2, 2))
    assert calibrate(["a", "b"], ["c", "d"], nothing, 0.8) is nothing


def test_a_short_reference_that_is_wholly_there_is_known_whatever_else_is_said() -> None:
    pair = (["bees"], ["bees", "Rome", "Low Tide", "1990"])
    assert LexicalSimilarity()([pair])[0].max() == 1.0
    half = (["bees", "goats"], ["bees", "Rome", "Low Tide", "1990"])
    assert LexicalSimilarity()([half])[0].max() < 0.8
    assert LexicalSimilarity(in_context=False)([half])[0].max() == 1.0
    assert LexicalSimilarity().fingerprint != LexicalSimilarity(in_context=False).fingerprint


def test_one_of_three_is_neither_forgotten_and_known_at_once() -> None:
    reference, response = ["Salt Prize", "Quill Prize", "Iron Prize"], ["Salt Prize"]
    covered = coverage(reference, response, LexicalSimilarity()([(reference, response)])[0], threshold=0.8)
    assert kfr(covered, False, 3)
    assert not krr(covered, False)
