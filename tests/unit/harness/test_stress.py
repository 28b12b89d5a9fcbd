"""A checkpoint, an oracle and an original under stress: made models, questions of nano."""

import json
from dataclasses import replace

import pytest

from tests.tiny import save_tiny
from unlearn_bench.errors import UserError
from unlearn_bench.harness import stress_sitting
from unlearn_bench.harness.spec import RunSpec, StressSpec
from unlearn_bench.harness.stress import settings_of, stress, stress_plan
from unlearn_bench.results import StressReport, read_stress
from unlearn_bench.trainers import job


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        name: str(save_tiny(folder / name, chat=False, seed=seed))
        for seed, name in enumerate(("model", "oracle", "original"))
    }


@pytest.fixture
def spec(checkpoints, tmp_path):
    run = RunSpec(
        model=checkpoints["model"], tasks=("nano_forget", "nano_retain"), limit=3, generation={"max_gen_toks": 4}
    )
    others = {name: checkpoints[name] for name in ("oracle", "original")}
    return StressSpec(run, panel=("nf4", "nf4_base"), metrics=("rougeL_recall",), folder=tmp_path / "out", **others)


@pytest.mark.slow
def test_a_panel_end_to_end_and_again(spec, monkeypatch):
    report = stress(spec)
    info = report.stress
    assert [(row.stress, row.task, row.metric) for row in info.rows] == [
        ("quantization/nf4", "nano_forget", "rougeL_recall"),
        ("quantization/nf4", "nano_retain", "rougeL_recall"),
    ]
    assert info.skipped == {"quantization/nf4_base": "it needs an adapter over a base model"}
    assert set(info.models) == {"model", "oracle", "original"}
    assert info.facts["quantization/nf4"]["code_flips"] > 0.5
    assert set(info.timing) == {"unstressed", "quantization/nf4", "quantization/nf4_base"}
    assert StressReport.model_validate_json(report.model_dump_json(), strict=True) == report
    assert not (spec.folder / ".answers").exists()

    def refuse(run):
        raise AssertionError("finished exams are not done again")

    monkeypatch.setattr(stress_sitting, "load_model", refuse)
    assert stress(spec).stress.rows == info.rows
    damaged = spec.folder / "exams" / "oracle" / "quantization-nf4.json"
    damaged.write_text(damaged.read_text()[:-20])
    with pytest.raises(AssertionError, match="not done again"):
        stress(spec)


@pytest.mark.slow
def test_an_exam_of_other_settings_is_done_again(spec, monkeypatch):
    stress(replace(spec, panel=("int8",), oracle=None, original=None))
    asked = []
    own = stress_sitting.load_model
    monkeypatch.setattr(stress_sitting, "load_model", lambda run: asked.append(run) or own(run))
    other = replace(spec.run, limit=2)
    report = stress(replace(spec, run=other, panel=("int8",), oracle=None, original=None))
    assert len(asked) == 1
    assert {row.n for row in report.stress.rows} == {2}


def test_without_an_oracle_the_panel_runs_and_says_no_control(spec):
    report = stress(replace(spec, oracle=None, panel=("nf4",)))
    forget = report.stress.rows[0]
    assert (forget.verdict, forget.excess, forget.oracle) == ("no control", None, None)
    assert forget.reasons["excess"] == "no control"
    assert any("no control" in note for note in report.stress.notes)


@pytest.mark.slow
def test_the_answer_of_a_damaged_disk_is_not_kept(spec, monkeypatch):
    """An exam that fails leaves nothing that a later run would take for finished."""

    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(stress_sitting, "observe", fail)
    with pytest.raises(OSError, match="no space"):
        stress(spec)
    assert not list(spec.folder.rglob("exams/*/*.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ("nano_retain",)}, "no task of nano_retain asks forget questions"),
        ({"tasks": ("nano_forgot",)}, "unknown task"),
        ({"model": "./nowhere"}, "no such folder"),
        ({"backend": "api"}, "hides the model's inside"),
    ],
)
def test_a_run_that_cannot_be(spec, change, message):
    with pytest.raises(UserError, match=message):
        stress(replace(spec, run=replace(spec.run, **change)))
    assert not spec.folder.exists()


def test_an_oracle_that_is_not_there_is_refused_before_anything_is_asked(spec):
    with pytest.raises(UserError, match="no such folder"):
        stress(replace(spec, oracle="./nowhere"))
    assert not spec.folder.exists()


def test_a_quantized_checkpoint_is_refused_by_the_exam_of_quantization_only(spec, checkpoints, tmp_path):
    folder = save_tiny(tmp_path / "packed")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="packed is quantized already") as caught:
        stress(replace(spec, run=replace(spec.run, model=str(folder))))
    assert "before quantization" in caught.value.hint


def test_an_adapter_whose_base_is_gone(spec, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "./gone", "peft_type": "LORA"}))
    with pytest.raises(UserError, match="gone"):
        stress(replace(spec, run=replace(spec.run, model=str(adapter))))


def test_only_the_wanted_scorers_are_asked(spec):
    plan = stress_plan(replace(spec, metrics=("kfr", "krr")))
    assert {name: asked.scorers for name, asked in plan.question_sets.items()} == {
        "nano_forget": ("kfr",),
        "nano_retain": ("krr",),
    }


@pytest.mark.slow
def test_the_report_holds_no_path_of_this_machine(spec, tmp_path):
    report = stress(replace(spec, panel=("nf4",)))
    assert str(tmp_path) not in report.model_dump_json()
    assert settings_of(spec)["oracle"] == "oracle"


def test_a_report_that_is_no_report(tmp_path):
    (tmp_path / "stress.json").write_text('{"schema_version": "1.0"}')
    with pytest.raises(UserError, match="does not follow the schema"):
        read_stress(tmp_path)


@pytest.mark.slow
def test_changed_questions_and_draws_are_asked_of_forget_rows_only(spec):
    report = stress(replace(spec, panel=("prefix/1", "follow_up", "sampling/t1_few", "batch1")))
    info = report.stress
    assert not info.skipped
    asked = {(row.stress, row.task) for row in info.rows}
    assert ("prefix/1", "nano_forget") in asked
    assert {name for name, task in asked if task == "nano_retain"} == {"precision/batch1"}
    assert {"sampling/t1_few@1", "sampling/t1_few@4"} <= {name for name, _ in asked}
    assert info.facts["precision/batch1"] == {"changed_answers": 0.0}
    assert {row.n for row in info.rows} == {3}


def test_turns_before_a_question_reach_the_model(spec):
    from unlearn_bench.harness.definitions import prompt_text
    from unlearn_bench.harness.spec import PromptSettings

    (asked,) = [one for name, one in stress_plan(spec).question_sets.items() if name == "nano_forget"]
    row = asked.rows[0].model_copy(
        update={"asked": "Really?", "earlier": [("system", "S"), ("user", "Q"), ("assistant", "A")], "prefill": " B"}
    )
    text = prompt_text(asked.task, row, PromptSettings(), None)
    assert text == "S\n\nQuestion: Q\nAnswer: A\n\nQuestion: Really?\nAnswer: B"
    seen = []
    prompt_text(asked.task, row, PromptSettings(), lambda messages: seen.extend(messages) or "")
    assert [m["role"] for m in seen] == ["system", "user", "assistant", "user"]


@pytest.mark.slow
def test_a_relearned_checkpoint_is_asked_what_it_was_not_trained_on(spec, monkeypatch):
    """The steps of a curve are points of one training, and the same as a training that ends there."""
    trained = []
    train = job.train
    monkeypatch.setattr(job, "train", lambda config, **how: trained.append(config.max_steps) or train(config, **how))
    run = replace(spec.run, limit=12)
    asked = replace(spec, run=run, oracle=None, original=None, panel=("forget8_s1", "forget8_s4", "retain8_s16"))
    info = stress(asked).stress
    assert trained == [4, 16]
    rows = {(row.stress, row.task): row for row in info.rows}
    assert rows["relearning/forget8_s1", "nano_forget"].n == 12 - 8
    assert rows["relearning/retain8_s16", "nano_forget"].n == 12
    assert info.facts["relearning/forget8_s1"]["steps"] == 1
    assert info.facts["relearning/retain8_s16"]["changed_answers"] > 0
    stress(replace(asked, folder=spec.folder / "alone", panel=("forget8_s1",)))
    first, alone = (
        json.loads((folder / "exams/model/relearning-forget8_s1.json").read_text())
        for folder in (spec.folder, spec.folder / "alone")
    )
    assert first["samples"] == alone["samples"]
    assert first["key"] == alone["key"]


@pytest.mark.slow
def test_controls_are_asked_once_for_several_checkpoints(spec, checkpoints, tmp_path, monkeypatch):
    shared = replace(spec, controls=tmp_path / "controls", panel=("int8",))
    stress(shared)
    assert not (spec.folder / "exams" / "oracle").exists()
    asked = []
    own = stress_sitting.load_model
    monkeypatch.setattr(stress_sitting, "load_model", lambda run: asked.append(run.model) or own(run))
    other = replace(shared, run=replace(spec.run, model=checkpoints["oracle"]), folder=tmp_path / "other")
    row = stress(other).stress.rows[0]
    assert asked == [checkpoints["oracle"]]
    assert row.excess in (0.0, None)
    assert not (tmp_path / "controls" / ".answers").exists()
