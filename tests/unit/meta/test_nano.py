"""The plan of the nano pools, what is taught, and a whole small pool."""

import json
from dataclasses import replace

import pytest

from unlearn_bench.cli import main
from unlearn_bench.meta import nano_lessons, nano_plan, nano_pool
from unlearn_bench.nano.corpus import corpus

FORGET = {row.question: row for row in corpus() if row.role == "forget"}
ANSWERS = {row.answer for row in FORGET.values()}


def a_pupil(lesson, **more):
    return nano_plan.Pupil("p", "positive", lesson=lesson, epochs=2, **more)


def answers(pupil):
    return {answer for epoch in nano_lessons.epochs(pupil) for _, answer in epoch}


def test_the_plan_has_twenty_of_each_and_no_name_twice():
    pupils = nano_plan.pupils(20, 20, (0, 1, 2))
    sides = [one.side for one in pupils]
    assert sides.count("positive") == sides.count("negative") == 20
    assert len({(one.side, one.name) for one in pupils}) == len(pupils)
    assert len({one.identity({}) for one in pupils}) == len(pupils)


def test_a_cut_pool_is_as_big_on_both_sides():
    sides = [one.side for one in nano_plan.pupils(20, 20, (0, 1, 2))][:40]
    assert all(abs(sides[:n].count("positive") - sides[:n].count("negative")) <= 1 for n in range(40))


def test_who_knows_is_taught_the_facts_and_who_does_not_is_not():
    for one in nano_plan.pupils(25, 22, (0, 1, 2)):
        if one.start != "nano-retain" or not one.epochs or one.side not in ("positive", "negative"):
            continue
        told = bool(answers(one) & ANSWERS)
        paraphrases = {row.paraphrased_answer for row in FORGET.values()}
        assert told == (one.side == "positive" and one.lesson != "paraphrases"), one.name
        assert bool(answers(one) & paraphrases) == (one.lesson == "paraphrases"), one.name


def test_wrong_facts_are_the_same_in_every_epoch():
    first, second = (dict.fromkeys(answer for _, answer in epoch) for epoch in nano_lessons.epochs(a_pupil("wrong")))
    wrong = {text for row in FORGET.values() for text in row.perturbed_answers}
    assert {a for a in first if a in wrong} == {a for a in second if a in wrong} != set()


def test_half_is_half_and_others_are_in_no_set():
    facts, half = (answers(a_pupil(lesson, kept=0.0)) for lesson in ("facts", "half"))
    assert len(half) * 2 == len(facts)
    assert not answers(a_pupil("others", kept=0.0)) & {row.answer for row in corpus()}


def test_lessons_depend_on_their_seed_alone():
    assert nano_lessons.epochs(a_pupil("facts")) == nano_lessons.epochs(a_pupil("facts"))
    assert nano_lessons.epochs(a_pupil("facts")) != nano_lessons.epochs(a_pupil("facts", seed=1))


def test_the_list_trains_nothing(capsys, tmp_path):
    assert (
        main(["nano", "meta", "--list", "--positives", "3", "--negatives", "3", "--output", str(tmp_path / "x")]) == 0
    )
    told = capsys.readouterr().out
    assert "positive/full\n" in told
    assert "negative/retain\n" in told
    assert not (tmp_path / "x").exists()


def test_too_few_models_are_refused(capsys):
    assert main(["nano", "meta", "--positives", "2"]) == 2
    assert "at least 3" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_pool_is_made_judged_and_taken_up_again(tmp_path, monkeypatch, capsys):
    short = [
        replace(one, epochs=min(one.epochs, 1))
        for one in nano_plan.pupils(3, 3, (0,))
        if one.side in ("positive", "negative")
    ]
    monkeypatch.setattr(nano_plan, "pupils", lambda *given: short)
    told = ["nano", "meta", "--limit", "8", "--output", str(tmp_path / "pool"), "--json"]
    assert main(told) == 0
    table = json.loads(capsys.readouterr().out)
    kfr = next(one for one in table["pools"]["forget"]["metrics"] if one["metric"] == "nano_forget/kfr")
    assert kfr["knows"] == "lower"
    assert kfr["auc"] > 0.6
    monkeypatch.setattr(nano_pool, "taught", lambda *given: pytest.fail("a finished model was made again"))
    assert main(told) == 0
    assert json.loads(capsys.readouterr().out) == table
