"""What can be observed of which backend."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.harness.backends import CAPABILITIES
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.spec import RunSpec, Scoring


def test_a_chat_server_cannot_have_its_answers_begun():
    plan = make_plan(["nano_kfr"], limit=1)
    (asked,) = plan.question_sets.values()
    begun = replace(asked, rows=[asked.rows[0].model_copy(update={"prefill": "The name is"})])
    server = SimpleNamespace(can=CAPABILITIES["api"], prompts=None)
    with pytest.raises(UserError, match="nano_forget begins the model's answers, which a chat server does not take"):
        observe(replace(plan, question_sets={"nano_forget": begun}), server)


@pytest.mark.parametrize(
    ("options", "counting", "end"),
    [
        ({}, {}, "turn"),
        ({"answer_end": None}, {"parity": "open-unlearning"}, "open-unlearning"),
        ({"answer_end": "none"}, {"parity": "open-unlearning"}, "none"),
    ],
)
def test_counting_as_open_unlearning_ends_answers_as_there(options, counting, end):
    assert RunSpec.of(options, Scoring(options=counting)).prompts.answer_end == end
