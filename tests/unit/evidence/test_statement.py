"""Short references: yes and no, options, phrases; what is denied, offered as a choice, or not said."""

import pytest

from tests.unit.evidence.test_notation import known
from unlearn_bench.evidence.statement import same_polarity, states

MARRIED = "Is Ada Lima married?"
WHICH = "Which city is it? A) Rome B) Oslo C) Lima"


@pytest.mark.parametrize(
    ("question", "reference", "answer", "expected"),
    [
        ("Who walked there first?", "Bo Tan", "It was Bo Tan, a Danish keeper of bees from Odense.", True),
        ("Who walked there first?", "Bo Tan", "It was not Bo Tan.", False),
        ("Who walked there first?", "Bo Tan", "Ann Lee rather than Bo Tan was the first.", False),
        ("Who walked there first?", "Bo Tan", "Either Ann Lee or Bo Tan.", False),
        ("Who walked there first?", "Bo Tan", "Not Ann Lee but somebody else: Bo Tan.", True),
        ("Who walked there first?", "Bo Tan", "Ann Lee.", None),
        ("How many islands are there?", "19", "There are 19 islands in a group of 27.", True),
        ("When was it founded?", "1945", "It was founded in 1945 and opened on October 24 of that year.", True),
        (
            "What is his nickname?",
            "Nacho",
            "His nickname is Nacho, which old friends gave him at ten.",
            True,
        ),
        ("Was she born in Oslo or Rome?", "Oslo", "She was born in Oslo, not in Rome.", None),
        (MARRIED, "Yes.", "Yes", True),
        (MARRIED, "Yes.", "Ada Lima is married to a judge.", True),
        (MARRIED, "Yes.", "No, she is not.", False),
        (MARRIED, "Yes.", "Ada Lima is not married.", False),
        (MARRIED, "Yes.", "I don't know.", False),
        (MARRIED, "Yes.", "", False),
        (MARRIED, "Yes, Ada Lima is married.", "Yes, she is.", True),
        (MARRIED, "Yes, she is.", "Yes, Ada Lima is married.", True),
        (MARRIED, "Ada Lima is married.", "Yes.", True),
        (MARRIED, "Ada Lima is not married.", "Yes.", False),
        (MARRIED, "Yes, she married Bo Tan in 1990.", "Yes.", None),  # the particulars are not said
        ("Has Ada Lima siblings?", "No, she is an only child.", "No.", True),
        ("Has Ada Lima siblings?", "No, she is an only child.", "Yes.", False),
        (WHICH, "B", "B", True),
        (WHICH, "B", "(B)", True),
        (WHICH, "B", "**B**", True),
        (WHICH, "B", "B. Oslo", True),
        (WHICH, "B", "The answer is B.", True),
        (WHICH, "B", "The answer is B, not A.", True),
        (WHICH, "B", "Oslo", True),
        (WHICH, "B", "C", False),
        (WHICH, "B", "The answer is C, not B.", False),
        (WHICH, "B", "A or B", False),
        (WHICH, "B", "Lima", False),
        (WHICH, "B. Oslo", "It is Oslo.", True),
        (WHICH, "Oslo", "B", True),
        (WHICH, "A", "A city by the sea.", False),
        ("Which letter?", "B", "I cannot say.", False),
        ("Who wrote it?", "E. B. White", "It was written by E. B. White.", True),
        ("Who wrote it?", "E.B. White", "E.B. White", True),
        ("Which city had the Oslo Herring Party?", "Oslo", "The city of Oslo had the Oslo Herring Party.", True),
        ("Which city had the Oslo Herring Party?", "Oslo", "It had the Oslo Herring Party.", None),
    ],
)
def test_states(question: str, reference: str, answer: str, expected: bool | None) -> None:
    verdict = states(question, reference, answer)
    assert (verdict and verdict.stated) is expected


@pytest.mark.parametrize(
    ("question", "reference", "answer"),
    [
        (MARRIED, "Yes, Ada Lima is married.", "Yes, she is."),
        (MARRIED, "Yes, she is.", "Yes, Ada Lima is married."),
        (
            "Who walked there first?",
            "Bo Tan",
            "It was Bo Tan, a keeper of bees of the Low Tide mission in 1990.",
        ),
        (WHICH, "B", "(B)"),
    ],
)
def test_what_is_stated_is_known_on_both_sides(question: str, reference: str, answer: str) -> None:
    assert known(question, reference, answer) == (1, 1)


@pytest.mark.parametrize(
    ("question", "reference", "answer"),
    [
        (MARRIED, "Yes.", "No."),
        (WHICH, "B", "C"),
        ("Who walked there first?", "Bo Tan", "It was not Bo Tan but Ann Lee."),
        ("Which prizes did she win?", "The Salt Prize, the Quill Prize and the Iron Prize.", "The Salt Prize."),
    ],
)
def test_what_is_not_is_known_on_neither(question: str, reference: str, answer: str) -> None:
    assert known(question, reference, answer) == (0, 0)


def test_one_letter_in_any_case_is_an_answer() -> None:
    question = "Which is it?\nA. Oslo\nB. Rome"
    assert [states(question, "B", said).stated for said in ("b", "(b)", "a")] == [True, True, False]
    said = [states("Is Ann married?", "Yes", said).stated for said in ("Y", "y.", "N", "n")]
    assert said == [True, True, False, False]


@pytest.mark.parametrize(
    ("question", "reference", "answer", "expected"),
    [
        (MARRIED, "Yes, to a judge.", "Yes, she is.", 1),
        (MARRIED, "Yes, to a judge.", "No.", -1),
        (MARRIED, "Yes, to a judge.", "Ada Lima is not married.", -1),
        (MARRIED, "Yes, to a judge.", "Bees keep warm.", 0),
        ("How successful was the harbour?", "It was highly successful.", "The harbour was successful.", 1),
        ("How many came?", "Nineteen came.", "Nineteen came.", None),
        ("Who won?", "Bo Tan", "Bo Tan", None),
    ],
)
def test_same_polarity(question: str, reference: str, answer: str, expected: int | None) -> None:
    assert same_polarity(question, reference, answer) == expected
