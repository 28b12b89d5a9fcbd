"""What a judge's reply says: JSON, plain variants, and everything that is no verdict."""

import pytest

from unlearn_bench.judges.reading import CONTRADICTS_ITSELF, NOT_READ, SEVERAL, read
from unlearn_bench.schema import Verdict

DEEP = "[" * 50_000


@pytest.mark.parametrize(
    ("reply", "verdict", "grade"),
    [
        ('{"verdict": "yes", "grade": 5}', "yes", 5),
        ('{"grade": 1, "verdict": "no"}', "no", 1),
        ('```json\n{"verdict": "partly", "grade": 3}\n```', "partly", 3),
        ('Here is my verdict:\n{"verdict": "no", "grade": 2}\nI hope this helps.', "no", 2),
        ('{"Verdict": "Partially", "Grade": "3 out of 5"}', "partly", 3),
        ('{"verdict": " YES. ", "grade": "4/5"}', "yes", 4),
        ('{"verdict": "no", "grade": 1.0}', "no", 1),
        ('<think>{"verdict": "yes", "grade": 5}?</think>{"verdict": "no", "grade": 1}', "no", 1),
        ('{"verdict": "no", "grade": 1} {"verdict": "no", "grade": 1}', "no", 1),
        ('{"reason": {"a": 1}} {"verdict": "no", "grade": 1}', "no", 1),
        ("Verdict: **no**\nGrade: 2/5", "no", 2),
        ("The verdict is partly, the grade is 3.", "partly", 3),
        ("{verdict: yes, grade: 4}", "yes", 4),
        ('{"verdict": "yes"}', "yes", None),
        ("no", "no", None),
        (" Partly.\n", "partly", None),
        (DEEP + '{"verdict": "no"}', "no", None),
    ],
)
def test_verdicts(reply: str, verdict: str, grade: int | None) -> None:
    assert read(reply) == Verdict(verdict=verdict, grade=grade)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "I would rather not say.",
        "Yes, I think so",
        '{"verdict": "maybe", "grade": 3}',
        '{"verdict": null, "grade": 3}',
        '{"verdict": ["yes"], "grade": 5}',
        '{"grade": 3}',
        '{"verdict": "yes", "grade": 4.5}',
        '{"verdict": "yes", "grade": 6}',
        '{"verdict": "yes", "grade": true}',
        '{"verdict": "yes", "grade": {"value": 5}}',
        '{"verdict": "yes", "grade": "excellent"}',
        "verdict: yes, grade: 9",
        '{"answer": "yes"}',
        "5",
        DEEP,
    ],
)
def test_what_is_no_verdict_is_not_guessed(reply: str) -> None:
    assert read(reply) == NOT_READ


@pytest.mark.parametrize(
    "reply",
    [
        'It says {"verdict": "yes", "grade": 5}. I say {"verdict": "no", "grade": 1}.',
        "Verdict: yes. On reflection, verdict: no.",
        "Verdict: no. Grade: 1 or grade: 2",
    ],
)
def test_two_verdicts_are_none(reply: str) -> None:
    assert read(reply) == SEVERAL


@pytest.mark.parametrize(("verdict", "grades"), [("yes", (1, 2)), ("partly", (1, 5)), ("no", (4, 5))])
def test_a_verdict_and_a_grade_that_contradict_each_other_are_none(verdict: str, grades: tuple[int, ...]) -> None:
    for grade in grades:
        assert read(f'{{"verdict": "{verdict}", "grade": {grade}}}') == CONTRADICTS_ITSELF
