"""`ls` scores the answers of whatever else runs: any combination of tasks, limits, orders and harnesses."""

import lm_eval
import pytest
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from unlearn_bench.harness.task_loading import load_tasks

pytestmark = pytest.mark.slow


class Echo(LM):
    """Answers with the question, in no time."""

    tokenizer_name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def generate_until(self, requests, disable_tqdm=False):
        self.asked += len(requests)
        return [f"You ask: {request.args[0]}" for request in requests]

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def _run(names, limit):
    tasks, _ = load_tasks(names, {})
    model = Echo()
    output = lm_eval.simple_evaluate(
        model=model,
        tasks=list(tasks.values()),
        task_manager=TaskManager(include_defaults=False),
        limit=limit,
        bootstrap_iters=0,
    )
    samples = {
        name: [entry["filtered_resps"][0].sample for entry in sorted(logged, key=lambda e: e["doc_id"])]
        for name, logged in output["samples"].items()
    }
    return samples, model


@pytest.mark.parametrize("limit", [1, 4, 0.02])
@pytest.mark.parametrize(
    "names",
    [
        ["nano_kfr", "ls"],
        ["nano_kfr", "nano_krr", "ls"],
        ["ls", "nano_krr", "nano_kfr"],
        ["nano_kfr", "nano_kfr_paraphrase", "nano_rouge", "ls"],
        ["nano_world_krr", "ls", "nano_neighbour_krr"],
    ],
    ids="+".join,
)
def test_every_question_once_under_a_name_of_its_own(names, limit):
    samples, model = _run(names, limit)
    others = [s for name in sorted(samples) if name != "ls" for s in samples[name]]
    questions = list(dict.fromkeys(s.question for s in others))
    assert [s.question for s in samples["ls"]] == questions
    answers = {s.question: s.response for s in others}
    assert [s.response for s in samples["ls"]] == [answers[q] for q in questions]
    assert len({s.id for s in samples["ls"]}) == len(questions)
    assert model.asked == len(questions), "ls asks nothing itself"


def test_ids_that_tasks_share_stay_apart():
    samples, _ = _run(["nano_kfr", "nano_kfr_paraphrase", "ls"], 3)
    plain, other = samples["nano_kfr"], samples["nano_kfr_paraphrase"]
    assert {s.id for s in plain} == {s.id for s in other}
    assert [s.id for s in samples["ls"]] == [f"{s.task}/{s.id}" for s in (*plain, *other)]


def test_alone_it_asks_the_fluency_prompts():
    samples, model = _run(["ls"], 3)
    assert len(samples["ls"]) == model.asked == 3


def test_our_tasks_are_never_counted_as_few_shot():
    task = load_tasks(["nano_kfr"], {})[0]["nano_kfr"]
    output = lm_eval.simple_evaluate(
        model=Echo(),
        tasks=[task],
        num_fewshot=2,
        task_manager=TaskManager(include_defaults=False),
        limit=1,
        bootstrap_iters=0,
    )
    assert output["n-shot"]["nano_kfr"] == 0
