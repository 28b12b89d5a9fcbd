"""The response of a sample is what the rules read in the text that was generated, and nothing that somebody chose."""

import pytest

from tests.leaderboard_documents import make_result
from unlearn_bench.boards import _readings
from unlearn_bench.schema import Response, Result, Sample
from unlearn_bench.text import answer

GENERATED = [
    ("In Oslo, since 1950.", False), ("<think>Was it Oslo?</think>\n\nIn Oslo.", False),
    ("Was it Oslo?</think>In Oslo.", True),
    ("<think>Was it Oslo", False), ("Was it Oslo", True), ("In Oslo.<|im_end|>\n<|im_start|>user\nAnd then?", False),
    ("", False), ("\x00missing:no_answer_from_server: timeout\x00", False),
    ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>In Oslo.", False),
]  # fmt: skip


def _sample(text: str, opened: bool) -> Sample:
    """As `run` keeps it."""
    reason = answer.why_not_given(text)
    response = Response(id="a", task="demo_kfr", split="forget", question="Where does she live?", reference="In Oslo.",
                        response="" if reason else text, missing=reason)  # fmt: skip
    read = response if reason else answer.apply(response, opened=opened)
    return Sample(**read.model_dump(exclude={"given"}))


def _found(sample: Sample, result: Result | None = None) -> list[str]:
    result = result or make_result()
    return [code for code, _ in _readings.problems(result, result.tasks["demo_kfr"], [sample])]


@pytest.mark.parametrize(("text", "opened"), GENERATED)
def test_what_run_keeps_agrees(text: str, opened: bool) -> None:
    assert _found(_sample(text, opened)) == []


@pytest.mark.parametrize("change", [
    {"response": "I cannot say."}, {"response": ""}, {"thinking": None}, {"cut": []}, {"cut": ["rambling", "thinking"]},
    {"missing": "no_answer_after_thinking", "response": ""}, {"raw_response": None},
    {"raw_response": "<think>Was it Oslo?</think>\n\nIn Oslo. I cannot say."}, {"thinking": "In Oslo."},
])  # fmt: skip
def test_another_choice_of_the_answer_is_found(change: dict) -> None:
    assert _found(_sample(*GENERATED[1]).model_copy(update=change)) == ["response"]


def test_a_run_that_takes_answers_whole_cuts_nothing() -> None:
    result = make_result()
    result.run["first_answer"] = False
    whole = Sample(id="a", task="demo_kfr", split="forget", question="?", reference=None, response=GENERATED[1][0])
    assert _found(whole, result) == []
    assert _found(_sample(*GENERATED[1]), result) == ["response"]
