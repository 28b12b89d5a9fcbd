"""The gradient probe: asked by name only, kept and resumed, beside the likelihood; what has none says why."""

import dataclasses
import math

import pytest

from tests.unit.harness.test_likelihood import ROWS, _stored, judged, plan
from tests.unit.models.test_gradients import by_hand
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import score_responses
from unlearn_bench.harness import gradient
from unlearn_bench.harness.backends import CAPABILITIES
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.harness.likelihood import EMPTY, TOO_LONG, asked_of
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.score_plan import METRICS, plan_tasks
from unlearn_bench.harness.spec import PromptSettings, RunSpec, Scoring, run_settings
from unlearn_bench.models.likelihood import TokenSequence
from unlearn_bench.results import missing_notes
from unlearn_bench.schema import NOT_ASKED, Likelihood, Response
from unlearn_bench.scorers.base import Parts

PROBES = ("likelihood", "gradient")


def scored(rows, **options):
    return score_responses(rows, ["gradnorm"], Parts("offline"), options)


def asked(options=None, end="turn"):
    model = judged()
    settings = PromptSettings(answer_end=end)
    made = plan(probes=PROBES)
    task = dataclasses.replace(made.question_sets["t"].task, scoring=Scoring(options=options or {}))
    sets = {"t": dataclasses.replace(made.question_sets["t"], task=task, scorers=("gradnorm",))}
    return model, observe(dataclasses.replace(made, question_sets=sets), model, settings)["t"]


def test_a_rows_norm_is_that_of_its_answers_tokens():
    model, rows = asked()
    ids, start, ending = model.prompts.continued(model.prompts.prompt(ROWS[0].question), ROWS[0].answer)
    assert ending == 1
    found = rows[0].likelihoods["answer"].gradient
    assert found.tokens == len(ids) - start - 1
    value = by_hand(model.lm.model, TokenSequence(tuple(ids[:-1]), start))
    assert found.l2 == pytest.approx(value, rel=1e-5)
    assert scored(rows)[0].scores == {"gradnorm": found.l2}
    assert scored(rows, gradnorm_p=1)[0].scores == {"gradnorm": found.l1}
    assert scored(rows, gradnorm_p="inf")[0].scores == {"gradnorm": found.largest}
    with pytest.raises(UserError, match="gradnorm_p: expected 1, 2 or inf, got 3"):
        scored(rows, gradnorm_p=3)
    assert rows[0].likelihoods["perturbed_answers.0"].gradient is None
    assert [s.unscored for s in scored(rows)[2:]] == [{"gradnorm": EMPTY}, {"gradnorm": TOO_LONG}]
    notes = missing_notes(scored(rows))
    assert [note.partition(":")[0] for note in notes] == [
        f"1 given texts have no likelihood ({reason})" for reason in (EMPTY, TOO_LONG)
    ]


def test_parity_counts_what_a_template_writes_behind_an_answer():
    parity = {"parity": "open-unlearning"}
    tokens = {}
    for name, options in (("ours", {}), ("theirs", parity)):
        _, rows = asked(options, end="open-unlearning")
        tokens[name] = rows[0].likelihoods["answer"].gradient.tokens
        other = parity if name == "ours" else {}
        assert scored(rows, **options)[0].scores
        assert scored(rows, **other)[0].unscored == {"gradnorm": "gradient_of_other_tokens"}
    assert tokens["theirs"] == tokens["ours"] + 1  # <|end|>; the </s> behind it counts for neither


def test_norms_that_are_not_finite_cost_their_rows():
    model = judged()
    model.lm.model.model.norm.weight.register_hook(lambda found: found * math.inf)  # the likelihoods stay finite
    rows = observe(plan(ROWS[:2], PROBES), model)["t"]
    for row, sample in zip(rows, scored(rows), strict=True):
        assert row.likelihoods["answer"].gradient is None
        assert row.no_likelihood == {"gradient": gradient.NOT_FINITE}
        assert sample.unscored == {"gradnorm": gradient.NOT_FINITE}


def test_kept_gradients_are_served_and_the_others_computed(tmp_path, monkeypatch):
    from unlearn_bench.harness import lm as lm_module

    monkeypatch.setattr(lm_module, "GRADIENT_CHUNK", 1)
    model, timing = judged(), {}
    wanted = [
        gradient.asked_of(asked_of(row, PROBES, row.question, PromptSettings(), model.prompts), {}) for row in ROWS
    ]
    first = _stored(model, tmp_path, timing).gradients(wanted)
    assert timing["gradient"] > 0
    assert first[2:] == [EMPTY, TOO_LONG]
    sorted(tmp_path.glob("*.json"))[0].unlink()  # a killed run
    calls = []
    monkeypatch.setattr(
        model.lm, "gradients", lambda some: calls.append(len(some)) or UnlearnLM.gradients(model.lm, some)
    )
    assert _stored(model, tmp_path, timing).gradients(wanted) == first
    assert calls == [1]
    assert _stored(model, tmp_path, timing, identity="b").gradients(wanted) == first
    assert sum(calls) == 1 + len(wanted)


def test_two_processes_find_what_one_finds():
    made = plan(ROWS[:2], PROBES)
    whole = observe(made, judged())["t"]
    for rank in range(2):
        model = judged()
        model.lm._rank, model.lm._world_size = rank, 2
        (mine,) = observe(made, model)["t"]
        assert mine.likelihoods["answer"].gradient == whole[rank].likelihoods["answer"].gradient


def test_a_backend_without_gradients_says_so():
    without = dataclasses.replace(judged(), can=CAPABILITIES["vllm"])
    made = plan(ROWS[:1], PROBES)
    found = observe(made, without)["t"][0]
    assert (set(found.likelihoods) >= {"answer"}, found.no_likelihood) == (True, {"gradient": gradient.NOT_GIVEN})
    alone = {"t": dataclasses.replace(made.question_sets["t"], scorers=("gradnorm",))}
    with pytest.raises(UserError, match="t asks for gradients, and this backend computes none"):
        observe(dataclasses.replace(made, question_sets=alone), without)


def test_gradients_are_asked_by_name_only():
    made = make_plan(["nano"], limit=1)
    assert not any("gradient" in asked.probes for asked in made.question_sets.values())
    named = make_plan(["nano"], limit=1, metrics=["mia_gradnorm"])
    assert {name: asked.scorers for name, asked in named.question_sets.items()} == {
        "nano_forget": ("gradnorm",), "nano_holdout": ("gradnorm",),
    }  # fmt: skip
    assert named.summaries == {"mia_gradnorm"}
    both = make_plan(["nano"], limit=1, metrics=["default", "mia_gradnorm"])
    assert both.summaries is None
    assert both.tasks.keys() == made.tasks.keys()
    assert both.question_sets["nano_forget"].scorers == (*made.question_sets["nano_forget"].scorers, "gradnorm")
    assert both.question_sets["nano_retain"].scorers == made.question_sets["nano_retain"].scorers


def test_only_the_named_metrics_of_a_run():
    chosen = make_plan(["nano"], limit=1, metrics=["krr"])
    assert {name: task.scorers for name, task in chosen.tasks.items()}["nano_retain"] == ("krr", "fluency")
    assert "nano_forget" not in chosen.tasks
    companions = make_plan(["nano_forget"], limit=1, metrics=["kfr"]).tasks["nano_forget"].scorers
    assert companions == ("kfr", "kfr_fluent", "fluency")
    with pytest.raises(UserError, match="--metrics gradnorm: no task of the run has it"):
        make_plan(["nano_kfr"], limit=1, metrics=["gradnorm"])
    with pytest.raises(UserError, match="unknown metric 'mia_gradnrm'\n  did you mean mia_gradnorm"):
        make_plan(["nano"], limit=1, metrics=["mia_gradnrm"])
    assert "metrics" not in run_settings(RunSpec())
    assert run_settings(RunSpec(metrics=("krr",)))["metrics"] == ["krr"]


def test_score_takes_numbers_over_roles_and_the_default_by_name():
    kept = {"answer": Likelihood(mean_logprob=-0.5)}
    held = [
        Response(id=role, task=role, role=role, question="", reference=None, response="", missing=NOT_ASKED,
                 likelihoods=kept, logged={"gradnorm": 1.0})
        for role in ("forget", "holdout")
    ]  # fmt: skip
    named = plan_tasks(held, ["mia_gradnorm"])
    assert named == {"forget": ["gradnorm"], "holdout": ["gradnorm"]}
    assert plan_tasks(held, ["default"]) == plan_tasks(held, METRICS)
    assert {"loss", "gradnorm"} <= set(plan_tasks(held, ["default", "mia_gradnorm"])["forget"])
