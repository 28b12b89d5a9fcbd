"""Shares of several processes become what one process would have scored; backends declare what they can do."""

import dataclasses

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import THINKING
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.scoring import aggregate, collect, score
from unlearn_bench.harness.spec import DiagnosisSettings, PromptSettings, RunSpec, Scoring, option_names, run_settings
from unlearn_bench.schema import PromptInfo, Response

PROMPT = PromptInfo(template_sha256="0" * 64, chat_template=False, style="qa")


class Processes:
    """The first of several processes, which knows what the others have scored."""

    def __init__(self, shares):
        self.shares, self.world_size = shares, len(shares)

    def gather_object(self, obj, dst=0):
        return self.shares


class Second(Processes):
    def gather_object(self, obj, dst=0):
        return None


def _answers(plan, share=slice(None)):
    """Every fifth answer is empty; which are, must not depend on who scores."""
    found = {}
    for name, asked in plan.question_sets.items():
        texts = ["" if number % 5 == 0 else row.answer for number, row in enumerate(asked.rows)]
        found[name] = [
            Response(id=r.id, task=name, role=r.role, question=r.question, reference=r.answer, response=text)
            for r, text in list(zip(asked.rows, texts, strict=True))[share]
        ]
    return found


@pytest.fixture(scope="module")
def plan():
    return make_plan(["nano_forget", "nano_krr", "ls"], limit=7)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 8])
def test_several_processes_have_the_samples_of_one(plan, count):
    one = collect(plan, score(plan, _answers(plan)), Processes([None]))
    shares = [score(plan, _answers(plan, slice(rank, None, count))) for rank in range(count)]
    several = collect(plan, shares[0], Processes(shares))
    for name in one:
        for mine, theirs in zip(several[name], one[name], strict=True):
            assert mine.scores == pytest.approx(theirs.scores, rel=1e-5)  # batches of other sizes round otherwise
            assert mine.unscored == theirs.unscored
            assert (mine.id, mine.response, mine.nli_label) == (theirs.id, theirs.response, theirs.nli_label)
    assert collect(plan, shares[1], Second(shares)) is None


@pytest.mark.slow
def test_a_result_names_the_question_sets_of_its_samples(plan):
    results = aggregate(plan, score(plan, _answers(plan)), lambda task: PROMPT, {"batch_size": 4})
    assert list(results) == ["ls", "nano_forget", "nano_krr"]
    assert {name: task.samples_of for name, task in results.items()} == {
        "ls": ["nano_forget", "nano_retain"],
        "nano_forget": [],
        "nano_krr": ["nano_retain"],
    }
    assert (results["ls"].n, results["ls"].role, results["ls"].dataset.name) == (14, "fluency", "tasks")
    assert results["nano_krr"].generation["batch_size"] == 4
    # evidence that other tasks asked for is not a number of this one
    assert not {"coverage", "known_share", "kfr"} & set(results["ls"].metrics)
    assert set(results["ls"].metrics) == {*results["ls"].scorer.metrics} - {*THINKING.values()}


def test_options_by_name_are_the_typed_settings():
    flat = {"model": "m", "data_dir": "d", "prompt": "qa", "diagnose": ("depth",), "limit": 3, "another": 1}
    spec = RunSpec.of(flat, Scoring.split({"nli": "rules", "kfr_rule": "paper"}))
    assert (spec.model, spec.limit, spec.data.data_dir) == ("m", 3, "d")
    assert spec.prompts == PromptSettings(prompt="qa")
    assert spec.diagnosis == DiagnosisSettings(diagnose=("depth",))
    assert (spec.scoring.parts, spec.scoring.options) == ({"nli": "rules"}, {"kfr_rule": "paper"})
    assert {"data_dir", "prompt", "plots", "model"} <= option_names()
    assert not {"data", "prompts", "scoring", "diagnosis"} & option_names()


def test_a_result_tells_no_paths_and_no_addresses():
    scoring = Scoring.split({"nli": "/models/deberta", "llm_base_url": "http://x", "kfr_rule": "paper"})
    told = run_settings(RunSpec(model="m", tokenizer="/there/tok", scoring=scoring))
    assert told["scoring"] == ["kfr_rule=paper", "nli=deberta"]
    assert told["tokenizer"] == "tok"


@pytest.mark.parametrize("which", ["original", "oracle"])
def test_a_model_to_compare_with_is_looked_for_before_anything_is_asked(which):
    from unlearn_bench.harness.run import evaluate

    def load(spec):
        raise AssertionError("a model was loaded")

    spec = RunSpec(model="nano-full", tasks=("nano_kfr",), limit=1, diagnosis=DiagnosisSettings(**{which: "./nowhere"}))
    with pytest.raises(UserError, match=r"\./nowhere: no such folder"):
        evaluate(spec, load=load)


@pytest.mark.parametrize("name", ["http://ann:password@host/v1", "http://host/v1?api-key=abc", "sk-abcdefghijklmnop"])
def test_a_name_that_results_keep_is_no_secret(name):
    from pathlib import Path

    from unlearn_bench.harness.backends import load_model
    from unlearn_bench.harness.score import ScoreSpec, model_name

    with pytest.raises(UserError, match="looks like a password or a key"):
        load_model(RunSpec(model=name, backend="api", model_args={"base_url": "http://127.0.0.1:9/v1"}))
    with pytest.raises(UserError, match="looks like a password or a key"):
        model_name(ScoreSpec(files=(Path("a.jsonl"),), model_name=name))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["vllm", "api"])
def test_what_a_backend_hides_is_not_diagnosed(backend):
    from unlearn_bench.harness.run import check_diagnosis

    spec = RunSpec(backend=backend, diagnosis=DiagnosisSettings(diagnose=("depth",)))
    with pytest.raises(UserError, match="hides the model's inside"):
        check_diagnosis(spec)
    check_diagnosis(dataclasses.replace(spec, diagnosis=DiagnosisSettings()))
