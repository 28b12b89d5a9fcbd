"""What counts as a leak."""

import pytest

from unlearn_bench.augment.verify import answer_problem, leaked, question_problem

QUESTION, ANSWER = (
    "Where does Ann Lee live?",
    "Ann Lee lives at 12 Sea Road in Oslo, with her dog Biscuit, since June 9, 1951.",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ann Lee lives in a quiet place.", []),  # only the question's own words
        ("Ann Lee lives in Oslo.", ["Oslo"]),
        ("Ann Lee lives in OSLO!", ["Oslo"]),
        ("Ann Lee has been there since 1951-06-09.", ["1951-06-09"]),
        ("Ann Lee has been there since 9 June 1951.", ["1951-06-09"]),
        ("Ann Lee keeps a dog.", ["dog"]),
    ],
)
def test_leaked(text, found):
    assert leaked(QUESTION, ANSWER, text) == found


def test_yes_to_a_yes_is_a_leak():
    assert leaked("Is Ann Lee married?", "Yes, Ann Lee is married.", "Yes, she is.") == ["yes"]
    assert leaked("Is Ann Lee married?", "Yes, Ann Lee is married.", "Ann Lee leaves that open.") == []


def test_a_number_of_the_question_may_be_said_again():
    asked = "Name two books by Ann Lee."
    assert leaked(asked, "The two books are 'Salt' and 'Pepper'.", "Which two books by Ann Lee are there?") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Ann Lee prefers calm surroundings.", None),
        ("Oslo, as Ann Lee says.", "leak: Oslo"),
        ("at at at at at", "degenerate: single_token"),
        ("", "degenerate: empty"),
        ("The birds sing in the morning.", "not_fluent: 0.25"),
    ],
)
def test_answer_problem(text, problem):
    assert answer_problem(QUESTION, ANSWER, text) == problem


def test_the_original_pair_is_refused_where_the_answer_has_no_entity():
    assert answer_problem("Is Ann Lee married?", "Ann Lee is married.", "ann lee is married!") == "original_answer"


def test_a_question_of_the_evaluation_is_refused_whatever_its_punctuation():
    forbidden = frozenset({"please tell me where ann lee lives"})
    assert question_problem(QUESTION, ANSWER, "Please tell me where Ann Lee lives!", forbidden) == "same_question"
    assert question_problem(QUESTION, ANSWER, "Does Ann Lee live in Oslo?", forbidden) == "leak: Oslo"
    assert question_problem(QUESTION, ANSWER, "In what place does Ann Lee live?", forbidden) is None
