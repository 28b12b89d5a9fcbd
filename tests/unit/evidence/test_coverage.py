"""Entity coverage: matching, words of the question, references without entities."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unlearn_bench.evidence.coverage import coverage, decisive, drop_question_words, without_question
from unlearn_bench.scorers.base import Unscored


def _names(n: int) -> list[str]:
    return [str(i) for i in range(n)]


@settings(deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_one_to_one_is_the_best_assignment(same: np.ndarray) -> None:
    rows, columns = same.shape
    # every way to give each row a column of its own, or none
    ways = itertools.permutations([*range(columns), *[None] * rows], rows)
    best = max(sum(bool(c is not None and same[r, c]) for r, c in enumerate(way)) for way in set(ways))
    assert coverage(_names(rows), _names(columns), same.astype(float), threshold=0.8) == best / rows


def test_released_counts_pairs_and_may_exceed_one() -> None:
    ones = np.ones((2, 3))
    assert coverage(["a", "b"], ["c", "d", "e"], ones, threshold=0.8, matching="released") == 3.0  # 6 pairs / 2
    assert coverage(["a", "b"], ["c", "d", "e"], ones, threshold=0.8) == 1.0


def test_threshold_is_inclusive() -> None:
    assert coverage(["a"], ["b"], np.array([[0.8]]), threshold=0.8) == 1.0


def test_undefined_is_not_zero() -> None:
    assert coverage([], ["a"], np.zeros((0, 1))) == Unscored("reference_has_no_entities")
    assert coverage(["a"], [], np.zeros((1, 0))) == 0.0


def test_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        coverage(["a"], ["b", "c"], np.zeros((2, 1)))


def test_question_words_leave_both_sides() -> None:
    question = "Which novel did Ann Lee write about Odense?"
    reference, response = (
        ["Ann Lee", "wrote", "Low Tide", "Odense"],
        ["Lee", "authored", "novels", "Salt Roads", "Odense"],
    )
    assert without_question(reference, response, question) == (["Low Tide"], ["Salt Roads"])
    assert drop_question_words(["Ann Lee Prize"], question) == ["Ann Lee Prize"]


def test_released_drops_from_the_response_only_whatever_shares_a_word() -> None:
    got = without_question(["Odense"], ["Odense Harbour", "bees"], "Where is Odense?", question_words="released")
    assert got == (["Odense"], ["bees"])
    assert without_question(["a"], ["b"], "a b", question_words="keep") == (["a"], ["b"])


def test_reference_that_repeats_its_question_keeps_everything() -> None:
    # a choice between two things the question names: dropping both would leave nothing to score
    assert without_question(["tea"], ["coffee"], "Does she drink tea or coffee?") == (["tea"], ["coffee"])


def test_a_short_answer_is_held_to_what_can_be_checked() -> None:
    words = ["honey", "goats", "harbour", "winter", "renowned", "bakery"]
    everything = ["Low Tide", *words]
    assert without_question(everything, ["Low Tide"], "Who?")[0] == ["Low Tide"]
    assert without_question(words, ["bees"], "Who?")[0] == ["honey", "goats", "harbour", "winter", "bakery"]
    assert without_question(everything, words, "Who?")[0] == everything


def test_framing_words_are_left_out_only_where_something_else_is_said() -> None:
    assert decisive(["renowned", "bees"]) == ["bees"]
    assert decisive(["renowned"]) == ["renowned"]


def test_what_can_be_checked_decides_where_it_is_a_fifth() -> None:
    words = ["honey", "goats", "harbour", "winter"]
    assert decisive(["Low Tide", *words]) == ["Low Tide"]
    assert decisive(["Low Tide", *words, "bakery"]) == ["Low Tide", *words, "bakery"]
