"""`ls` scores the answers of whatever else runs: any combination of tasks, limits and orders, here and in lm-eval."""

import lm_eval
import pytest
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from unlearn_bench.harness.backends import CAPABILITIES, JudgedModel
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.scoring import score
from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.harness.stock import load_with_lm_eval
from unlearn_bench.results import choose_samples
from unlearn_bench.schema import NOT_ASKED, ModelInfo

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_environment")]

NAMES = [
    ["nano_kfr", "ls"],
    ["nano_kfr", "nano_krr", "ls"],
    ["ls", "nano_krr", "nano_kfr"],
    ["nano_kfr", "nano_kfr_paraphrase", "nano_rouge", "ls"],
    ["nano_world", "ls", "nano_neighbour_krr"],
]


class Echo(LM):
    """Answers with the question, in no time."""

    tokenizer_name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def generate_until(self, requests, disable_tqdm=False):
        self.asked += [request.args[0] for request in requests]
        return [f"You ask: {request.args[0]}" for request in requests]

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def _run(names, limit):
    """Task to its samples, as a plan has them, and what was asked."""
    plan, lm = make_plan(names, limit=limit), Echo()
    model = JudgedModel(lm, ModelInfo(name="m", source="x"), CAPABILITIES["api"])
    scored = score(plan, observe(plan, model, PromptSettings(prompt="qa")))
    everything = [sample for name in scored for sample in scored[name]]
    return {name: choose_samples(plan.samples_of[name], everything) for name in plan.tasks}, lm.asked


def _stock(names, limit):
    """Task to its samples under lm-eval, and what was asked."""
    lm = Echo()
    output = lm_eval.simple_evaluate(
        model=lm,
        tasks=list(load_with_lm_eval(names).tasks.values()),
        task_manager=TaskManager(include_defaults=False),
        limit=limit,
        bootstrap_iters=0,
    )
    samples = {
        name: [entry["filtered_resps"][0].sample for entry in sorted(logged, key=lambda e: e["doc_id"])]
        for name, logged in output["samples"].items()
    }
    return samples, lm.asked


@pytest.mark.parametrize("limit", [1, 4, 0.02])
@pytest.mark.parametrize("names", NAMES, ids="+".join)
@pytest.mark.parametrize("run", [_run, _stock])
def test_every_question_once_and_asked_by_others(run, names, limit):
    samples, asked = run(names, limit)
    others = [s for name in samples if name != "ls" for s in samples[name]]
    questions = {s.question for s in others}
    assert sorted(s.question for s in samples["ls"]) == sorted(questions)
    answers = {s.question: s.response for s in others}
    assert all(s.response == answers[s.question] for s in samples["ls"])
    assert len(set(asked)) == len(questions), "ls asks nothing itself"
    if run is _run:
        assert len(asked) == len(questions), "aliases of one question set ask once"


@pytest.mark.parametrize("names", NAMES, ids="+".join)
def test_the_same_samples_here_and_under_lm_eval(names):
    def found(run):
        key = lambda s: (s.task, s.question)  # noqa: E731
        return sorted(run(names, 3)[0]["ls"], key=key)

    ours, stock = found(_run), found(_stock)
    assert [s.task for s in ours] == [s.task for s in stock]
    assert [s.scores["fluency"] for s in ours] == [s.scores["fluency"] for s in stock]
    assert [s.perplexity for s in ours] == pytest.approx([s.perplexity for s in stock])


def test_one_row_an_answer_under_the_name_of_its_question_set():
    samples, _ = _run(["nano_kfr", "nano_kfr_paraphrase", "ls"], 3)
    plain, other = samples["nano_kfr"], samples["nano_kfr_paraphrase"]
    assert {s.id for s in plain} == {s.id for s in other}
    assert samples["ls"] == [*plain, *other]
    assert {s.task for s in samples["ls"]} == {"nano_forget", "nano_forget_paraphrase"}


@pytest.mark.parametrize("run", [_run, _stock])
def test_alone_it_asks_the_fluency_prompts(run):
    samples, asked = run(["ls"], 3)
    assert len(samples["ls"]) == len(asked) == 3
    assert {s.role for s in samples["ls"]} == {"fluency"}


def test_one_evaluation_of_lm_eval_does_not_see_the_tasks_of_the_last():
    _stock(["nano_kfr", "ls"], 1)
    samples, _ = _stock(["ls", "nano_krr"], 2)
    assert {s.task for s in samples["ls"]} == {"nano_retain"}


def test_our_tasks_are_never_counted_as_few_shot():
    output = lm_eval.simple_evaluate(
        model=Echo(),
        tasks=list(load_with_lm_eval(["nano_kfr"]).tasks.values()),
        num_fewshot=2,
        task_manager=TaskManager(include_defaults=False),
        limit=1,
        bootstrap_iters=0,
    )
    assert output["n-shot"]["nano_kfr"] == 0


def test_lm_eval_does_not_generate_where_only_likelihoods_are_read():
    """Its metrics are then absent; `ls` scores the answers of the other tasks."""
    samples, asked = _stock(["nano_holdout", "nano_kfr", "ls"], 3)
    assert len(asked) == 3
    assert {sample.missing for sample in samples["nano_holdout"]} == {NOT_ASKED}
    assert [sample.task for sample in samples["ls"]] == ["nano_forget"] * 3
