"""A cell with one training step and two questions: what it leaves behind, and that it is not done twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from unlearn_bench import results
from unlearn_bench.boards.submit import read_training
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.models.weight_files import weights_sha256
from unlearn_bench.nano import checkpoint_path
from unlearn_bench.reproduce import embedded, plan
from unlearn_bench.reproduce.cell import Settings, augmented, finished, run
from unlearn_bench.reproduce.nano import STUDY as NANO
from unlearn_bench.reproduce.submission import submit_rows

pytestmark = pytest.mark.slow

OPEN = dict.fromkeys(("version", "n", "dataset_sha256", "scorer", "generation"))
RANK = "answer_gold_best_rank"
TRIAL = Settings(limit=2, max_steps=1, diagnose=("logit_lens",))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    output = tmp_path_factory.mktemp("table")
    cell = plan.Cell(NANO, NANO.row("ga"), 0)
    kept = replace(TRIAL, keep=output / "kept")
    return output, cell, run(cell, output, kept)


def test_results_are_kept_and_the_working_folder_is_not(done):
    output, cell, record = done
    folder = output / cell.name
    result = results.read_result(folder)
    sets = set(NANO.aliases.values()) | {"nano_holdout"}
    assert set(result.tasks) == sets | {"nano_summary"}
    assert {result.tasks[name].n for name in sets} == {2}
    assert record["metrics"]["nano_forget/kfr"] == result.tasks["nano_forget"].metrics["kfr"].value
    measured = {column.metric for column in NANO.columns if "[" not in column.metric} - {"minutes"}
    assert measured <= set(record["metrics"])
    assert result.tasks["nano_summary"].metrics["forget_quality"].value is not None  # held against the oracle
    assert record["places"]["nano_forget/probability"] == result.tasks["nano_forget"].metrics["probability"].place.value
    assert record["inside"][RANK] == result.diagnostics.tables["logit_lens"][RANK].value >= 1
    anchors = {path.name.rsplit("-", 1)[0] for path in (output / ".anchors").iterdir() if path.is_dir()}
    assert anchors == {"nano-full", "nano-retain"}
    assert json.loads((folder / "training.json").read_text())["method"] == "ga"
    assert record["training"]["steps"] == 1
    told = read_training(folder / "training.json")  # what `train` writes is what `submit --training` reads
    assert (told.method, told.base_model, told.seed) == ("ga", "nano-full", 0)
    assert told.parent_weights_sha256 == weights_sha256(checkpoint_path("nano-full"))
    assert told.hyperparameters["terms"] == ["1*ga {}"]
    assert result.model.name == cell.name
    assert not list(output.glob(".work-*"))
    with safe_open(output / "kept" / cell.name / "model.safetensors", "pt") as file:  # as embedded ones are stored
        assert {str(file.get_tensor(key).dtype) for key in file.keys()} == {"torch.float16"}  # noqa: SIM118


def test_embedded_checkpoint_is_the_row_with_the_first_seed(done, tmp_path, monkeypatch):
    output, cell, _ = done
    monkeypatch.setattr("unlearn_bench.reproduce.cell.Settings", lambda: TRIAL)
    folder = embedded.build("nano-ga", tmp_path, overwrite=False)
    kept = output / "kept" / cell.name
    assert (folder / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    assert (folder / "README.md").is_file()
    with pytest.raises(UserError, match="already there"):
        embedded.build("nano-ga", tmp_path, overwrite=False)


def test_rows_are_submitted_by_their_first_seed(done, tmp_path):
    output, cell, _ = done
    board = tmp_path / "nano.json"
    open_board = json.loads((Path(__file__).parents[3] / "leaderboards" / "nano.json").read_text())
    board.write_text(
        json.dumps({**open_board, "entries": [], "tasks": {n: {**t, **OPEN} for n, t in open_board["tasks"].items()}})
    )
    work = [plan.Cell(NANO, cell.row, seed) for seed in (0, 1)]
    with pytest.raises(UserError, match="not accepted") as refused:
        submit_rows(work, output, TRIAL, board)
    assert "limited" in refused.value.hint  # a trial of two questions is no entry
    assert json.loads(board.read_text())["entries"] == []


def test_finished_is_recognised_only_with_the_same_settings(done):
    output, cell, record = done
    assert finished(cell, output, TRIAL) == json.loads(json.dumps(record))
    assert finished(cell, output, replace(TRIAL, limit=3)) is None
    assert finished(cell, output, replace(TRIAL, diagnose=())) is None
    assert finished(plan.Cell(NANO, cell.row, 1), output, TRIAL) is None


def test_half_written_cell_is_not_finished(done, tmp_path):
    _, cell, _ = done
    (tmp_path / cell.name).mkdir()
    (tmp_path / cell.name / "cell.json").write_text('{"identity":')
    assert finished(cell, tmp_path, TRIAL) is None


def test_command_skips_what_is_finished_and_writes_the_table(done, capsys):
    output, cell, _ = done
    before = (output / cell.name / "cell.json").stat().st_mtime_ns
    arguments = ["--methods", "ga", "--seeds", "0", "--limit", "2", "--max-steps", "1", "--diagnose", "logit_lens"]
    assert main(["nano", "reproduce", *arguments, "--output", str(output)]) == 0
    assert "1 models, 1 finished" in capsys.readouterr().out
    assert (output / cell.name / "cell.json").stat().st_mtime_ns == before
    table = json.loads((output / "table.json").read_text())
    assert [row["row"] for row in table["rows"]] == ["ga"]
    assert table["missing"] == []
    assert "| ga | 1 |" in (output / "table.md").read_text()
    assert (output / "scatter.png").stat().st_size > 10_000


def test_list_says_how_long_and_does_nothing(tmp_path, capsys):
    assert main(["nano", "reproduce", "--list", "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert " min for the rest" in said
    assert "relearn, no gdr" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("flags", [["--methods", "gaa"], ["--seeds", "x"], ["--jobs", "0"], ["--limit", "0"]])
def test_bad_flags_are_refused_before_anything_is_trained(flags, tmp_path):
    assert main(["nano", "reproduce", "--output", str(tmp_path), *flags]) == 2
    assert list(tmp_path.iterdir()) == []


def test_augmentation_that_fails_stops_the_cell(tmp_path):
    with pytest.raises(UserError, match="--tries must be at least 1"):
        augmented("nano", {"tries": 0}, 0, tmp_path / "data.jsonl")
