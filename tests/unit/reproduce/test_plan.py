"""Which rows there are, in which order they are run, and what makes a finished cell stale."""

import json

import pytest

from tests.leaderboard_documents import make_result, make_samples
from unlearn_bench.augment.run import AugmentSpec
from unlearn_bench.errors import UserError
from unlearn_bench.reproduce import plan
from unlearn_bench.reproduce.cell import Settings, finished, refuse_other
from unlearn_bench.reproduce.nano import STUDY as NANO
from unlearn_bench.reproduce.study import Row
from unlearn_bench.results import write_results
from unlearn_bench.trainers.config import TrainConfig
from unlearn_bench.trainers.method import RECIPES, parse


def test_every_row_names_a_method_that_can_be_trained():
    for row in NANO.rows.values():
        assert (row.method is None) != (row.checkpoint is None)
        if row.method is not None and row.method not in RECIPES.names():
            parse(row.method)
        assert row.minutes > 0
        assert set(row.settings) <= set(TrainConfig.__dataclass_fields__)
        assert set(row.augment or {}) <= set(AugmentSpec.__dataclass_fields__)


def test_all_methods_and_all_ablations_of_the_comparison_are_there():
    rows = NANO.rows
    forget = {row.method.split("+")[0] for row in rows.values() if row.method}
    wanted = "ga npo simnpo dpo idk_nll rmu undial wga satimp ceu pdu relearn relearn_dpo sure memflex task_vector"
    assert {*wanted.split(), "merge", "whp"} <= forget
    assert "retrain" in rows
    parts = ("variants", "verification", "completion", "generic data", "gdr", "klr")
    control = "relearn, other register"
    ablations = {name for name, row in rows.items() if row.group == "ablation"}
    assert ablations == {*(f"relearn, no {part}" for part in parts), control}


def test_first_seeds_come_first_and_fixed_checkpoints_once():
    rows = plan.choose(NANO, ["nano-full", "ga", "relearn"])
    work = plan.cells(NANO, rows, [4, 7])
    assert [(c.row.name, c.seed) for c in work] == [
        ("nano-full", 4), ("relearn", 4), ("ga", 4), ("relearn", 7), ("ga", 7)
    ]  # fmt: skip
    assert len({cell.name for cell in work}) == 5


def test_unknown_row_and_bad_seeds_say_what_to_type():
    with pytest.raises(UserError, match="relearn"):
        plan.choose(NANO, ["relern"])
    for seeds in ([], [1, 1], [-1]):
        with pytest.raises(UserError, match="seeds"):
            plan.cells(NANO, plan.choose(NANO, ["ga"]), seeds)


def test_estimate_is_work_over_cores_but_no_less_than_the_longest():
    row = Row("a", "method", 6.0, method="ga")
    short = Row("b", "method", 1.0, method="ga")
    assert plan.estimate([plan.Cell(NANO, row, 0), plan.Cell(NANO, short, 0)], 2) == 6.0
    assert plan.estimate([plan.Cell(NANO, short, i) for i in range(8)], 2) == 4.0
    assert plan.estimate([], 2) == 0.0


def test_whole_table_is_planned_for_under_an_hour_on_two_cores():
    assert plan.estimate(plan.cells(NANO, plan.choose(NANO, None), [0, 1, 2]), 2) < 60


def test_identity_follows_seed_settings_and_preset(monkeypatch):
    cell = plan.Cell(NANO, NANO.rows["ga"], 0)
    same = cell.identity({"limit": None})
    assert same == cell.identity({"limit": None})
    assert same != plan.Cell(NANO, cell.row, 1).identity({"limit": None})
    assert same != cell.identity({"limit": 5})
    monkeypatch.setattr("unlearn_bench.trainers.config.preset_settings", lambda name, method: {"learning_rate": 9.0})
    assert same != cell.identity({"limit": None})


def test_a_cell_of_version_0_1_is_finished_with_what_it_has(tmp_path):
    settings, cell = Settings(), plan.Cell(NANO, NANO.rows["ga"], 0)
    asked = settings.earlier(NANO)
    assert "nano_neighbour_krr" in asked["tasks"]
    record = {"identity": cell.identity(asked), "settings": asked, "metrics": {"nano_kfr.kfr": 0.5, "nano_ls/ls": None}}
    (tmp_path / cell.name).mkdir()
    (tmp_path / cell.name / "cell.json").write_text(json.dumps(record))
    refuse_other([cell], tmp_path, settings)
    found = finished(cell, tmp_path, settings)
    assert found["metrics"] == {"nano_forget/kfr": 0.5, "nano_forget/ls": None}
    assert (found["places"], found["excess"]) == ({}, {})  # there is no result to read them from
    with pytest.raises(UserError, match="other settings"):
        refuse_other([cell], tmp_path, Settings(limit=2))


def test_only_the_first_seed_of_each_row_is_examined_beyond_its_answers(tmp_path):
    rows, settings = plan.choose(NANO, ["nano-full", "ga"]), Settings(stress=("quick",), diagnose=("depth",))
    work = plan.cells(NANO, rows, [2, 0])
    assert [(cell.row.name, cell.seed) for cell in work] == [("nano-full", 2), ("ga", 2), ("ga", 0)]
    assert [settings.of(cell) for cell in work] == [settings, settings, Settings(again=False)]
    for cell in work:
        asked = settings.of(cell).identity(NANO)
        (tmp_path / cell.name).mkdir()
        record = {"identity": cell.identity(asked), "settings": asked, "metrics": {}}
        (tmp_path / cell.name / "cell.json").write_text(json.dumps(record))
        write_results(tmp_path / cell.name, make_result("x", samples := make_samples()), samples)
    refuse_other(work, tmp_path, settings)
    assert all(finished(cell, tmp_path, settings) for cell in work)
    for other in (Settings(), Settings(stress=("quick",)), Settings(stress=("full",), diagnose=("depth",))):
        with pytest.raises(UserError, match="other settings"):
            refuse_other(work, tmp_path, other)
