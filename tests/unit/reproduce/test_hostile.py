"""A table's folder that was broken, edited, of another table, or holds what is somebody else's."""

import errno
import json
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_result, make_samples
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.reproduce import anchors, plan, pool
from unlearn_bench.reproduce.cell import Settings, finished, refuse_lost, refuse_other
from unlearn_bench.reproduce.nano import STUDY as NANO
from unlearn_bench.reproduce.smol import STUDY as SMOL
from unlearn_bench.results import write_results

GA = plan.Cell(NANO, NANO.rows["ga"], 0)
TRIAL = Settings(limit=2, max_steps=1)
ONE_CELL = ("--methods", "ga", "--seeds", "0", "--limit", "2", "--max-steps", "1", "--no-plots")


@pytest.fixture
def table(tmp_path):
    """A folder with one finished cell."""
    folder = tmp_path / "table" / GA.name
    result = make_result("ga", samples := make_samples(kfr=50))
    write_results(folder, result, samples)
    asked = TRIAL.identity(NANO)
    metrics = {f"{t}/{m}": v.value for t, one in result.tasks.items() for m, v in one.metrics.items()}
    record = {
        "row": "ga", "group": "method", "method": "ga", "seed": 0, "identity": GA.identity(asked), "settings": asked,
        "minutes": {"training": 0.1}, "training": {"last": float("inf")}, "metrics": metrics,
    }  # fmt: skip
    (folder / "cell.json").write_text(json.dumps(record))
    return tmp_path / "table"


def edit(table: Path, **changes: object) -> None:
    path = table / GA.name / "cell.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_finished_cell_is_that_of_its_row_whatever_it_says(table):
    edit(table, row=["<b>"], seed="x", group=None, minutes={})
    found = finished(GA, table, TRIAL)
    assert (found["row"], found["seed"], found["group"], found["minutes"]) == ("ga", 0, "method", {"training": None})
    assert found["metrics"]["demo_kfr/kfr"] == 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": [1]}, {"metrics": {"x": 1.0}}, {"metrics": {"demo_kfr/kfr": "0.9"}}, {"metrics": None},
        {"metrics": {"demo_kfr/kfr": float("nan")}}, {"metrics": {"demo_kfr/kfr": True}},
        {"metrics": {"demo_kfr/ls[x]": 10**400}}, {"minutes": None}, {"minutes": {"training": "a"}},
        {"identity": [1]}, {"settings": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_record_is_made_again(table, changes):
    edit(table, **changes)
    assert finished(GA, table, TRIAL) is None
    refuse_other([GA], table, TRIAL)


@pytest.mark.parametrize("value", [7.0, 0.51, None])
def test_a_number_that_the_result_does_not_say_is_refused(table, value):
    metrics = json.loads((table / GA.name / "cell.json").read_text())["metrics"]
    edit(table, metrics={**metrics, "demo_kfr/kfr": value})
    with pytest.raises(UserError, match="json does not") as refused:
        finished(GA, table, TRIAL)
    assert "remove" in refused.value.hint


@pytest.mark.parametrize("content", [None, "{", '{"schema_version": "9.9"}'], ids=["gone", "cut", "newer"])
def test_a_finished_cell_without_its_result_is_refused(table, content):
    path = table / GA.name / "result.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match="result") as refused:
        finished(GA, table, TRIAL)
    assert f"remove {table / GA.name}" in refused.value.hint


def test_cells_of_another_table_are_not_mixed_in(table):
    other = plan.Cell(NANO, NANO.rows["rmu"], 0)
    refuse_other([other], table, TRIAL)
    refuse_other([other], table, Settings(limit=2, max_steps=1, stress=("quick",)))
    with pytest.raises(UserError, match="other tasks"):
        refuse_other([other], table, Settings(limit=3, max_steps=1))
    with pytest.raises(UserError, match="other tasks"):
        refuse_other([plan.Cell(SMOL, SMOL.rows["rmu"], 0)], table, TRIAL)


@pytest.mark.parametrize("text", ['{"pools": {}}', "[1]", "{"])
def test_the_table_of_another_command_is_not_replaced(table, text):
    (table / "table.json").write_text(text)
    with pytest.raises(UserError, match="no table of this command"):
        refuse_other([GA], table, TRIAL)


def test_what_is_not_the_cells_own_is_not_removed(tmp_path):
    folder = tmp_path / GA.name
    folder.mkdir()
    (folder / "result.json").touch()  # of a run that was cut
    refuse_lost([GA], tmp_path, TRIAL)
    (folder / "model.safetensors").touch()
    with pytest.raises(UserError, match="safetensors"):
        refuse_lost([GA], tmp_path, TRIAL)
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match="a link"):
        refuse_lost([GA], tmp_path, TRIAL)


def test_no_other_checkpoint_is_replaced_by_a_kept_one(tmp_path):
    keep = tmp_path / "keep"
    kept = Settings(keep=keep)
    refuse_lost([GA], tmp_path, kept)
    (keep / GA.name).mkdir(parents=True)
    with pytest.raises(UserError, match="another checkpoint"):
        refuse_lost([GA], tmp_path, kept)
    (keep / GA.name / "config.json").touch()
    for method, fine in (("ga", True), ("npo", False)):
        (keep / GA.name / "training.json").write_text(json.dumps({"method": method, "seed": 0}))
        if fine:
            refuse_lost([GA], tmp_path, kept)  # of a command that was cut before the cell was finished
        else:
            with pytest.raises(UserError, match="another checkpoint"):
                refuse_lost([GA], tmp_path, kept)
    with pytest.raises(UserError, match="the folder of the table"):
        refuse_lost([GA], keep, kept)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file"):
        refuse_lost([GA], tmp_path, Settings(keep=tmp_path / "file"))


def test_an_anchor_that_cannot_be_read_is_made_again(tmp_path, monkeypatch):
    from unlearn_bench.harness import run
    from unlearn_bench.harness.spec import RunSpec

    samples, made = make_samples(), []
    monkeypatch.setattr(run, "evaluate", lambda spec: made.append(spec.model) or (make_result("a", samples), samples))
    spec = RunSpec(model="x", tasks=NANO.tasks)
    anchors.scored(NANO, spec, tmp_path)
    assert len(made) == 2
    anchors.scored(NANO, spec, tmp_path)
    assert len(made) == 2
    path = next(tmp_path.glob(".anchors/nano-full-*/result.json"))
    path.write_text(path.read_text()[:200])
    anchors.scored(NANO, spec, tmp_path)
    assert made[2:] == ["nano-full"]


def test_what_failed_is_told_in_a_line_and_a_full_disk_ends_the_work():
    def outcome(error):
        future = Future()
        future.set_exception(error)
        return pool._outcome(future)

    assert outcome(UserError("no room", hint="make some")) == "no room\n  make some"
    assert outcome(PermissionError(errno.EACCES, "Permission denied", "x")) == "Permission denied: x"
    assert "\n" not in outcome(ValueError("a\nb"))
    with pytest.raises(UserError, match="No space left") as full:
        outcome(OSError(errno.ENOSPC, "No space left on device"))
    assert "free some room" in full.value.hint


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """`nano reproduce` of which every cell fails."""
    monkeypatch.setattr(pool, "run_each", lambda work, do, jobs, report: [(one, "it broke") for one in work])

    def call(*more):
        code = main(["nano", "reproduce", "--methods", "ga", "--output", str(tmp_path / "out"), *more])
        return code, capsys.readouterr()

    return call


def test_a_table_without_a_row_is_no_table(command, tmp_path):
    code, said = command("--seeds", "0", "--quiet")
    assert (code, said.out, said.err) == (2, "", "ga-seed0: it broke\n")
    assert not (tmp_path / "out" / "table.md").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--seeds", "4294967296"), "from 0 to 4294967295"),
        (("--methods", ""), "expected rows of the table"),
        (("--methods", "GA"), "did you mean ga"),
        (("--output", ""), "expected a path"),
        (("--stress", ""), "expected names"),
        (("--keep", __file__), "a file, expected a folder"),
        (("--leaderboard", "leaderboards/tofu.json"), "asks no task of nano"),
        (("--leaderboard", "setup.cfg"), "leaderboard setup.cfg"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(command, monkeypatch, tmp_path, flags, words):
    monkeypatch.chdir(Path(__file__).parents[3])
    code, said = command(*flags)
    assert code == 2
    assert words in said.err
    assert len(said.err.splitlines()) <= 3
    assert not (tmp_path / "out").exists()


def test_a_trial_says_that_it_is_one(table):
    assert main(["nano", "reproduce", *ONE_CELL, "--output", str(table)]) == 0
    assert "a trial, of no account: --limit 2, --max-steps 1" in (table / "table.md").read_text()


def test_a_checkpoint_that_cannot_be_kept_is_told(table, tmp_path, capsys):
    command = ["nano", "reproduce", *ONE_CELL, "--output", str(table), "--quiet", "--keep", str(tmp_path / "kept")]
    assert main(command) == 0
    assert "their checkpoints are not there: ga-seed0" in capsys.readouterr().err
    (tmp_path / "kept" / GA.name).mkdir(parents=True)
    assert main(command) == 0
    assert capsys.readouterr().err == ""
