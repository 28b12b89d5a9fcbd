"""A result is replaced by one of the same model and settings only, and one process writes a folder at a time."""

from pathlib import Path

import pytest

from tests.unit.test_result_table import SHA, make_result
from unlearn_bench import results
from unlearn_bench.cli import _overwriting
from unlearn_bench.cli.run import _default_folder
from unlearn_bench.errors import UserError
from unlearn_bench.harness.spec import RunSpec, Scoring, run_settings
from unlearn_bench.schema import ModelInfo

SPEC = RunSpec(model="m", tasks=("nano_kfr",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = make_result()
    result.model = ModelInfo(name="m", source="folder", weights_sha256=SHA)
    result.run = run_settings(SPEC)
    results.write_results(tmp_path / "out", result, [])
    return tmp_path / "out"


def _refused(folder: Path, spec: RunSpec, model: ModelInfo | None = None, *, overwrite: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        _overwriting.refuse_other(folder, spec, model, overwrite=overwrite)
    assert "--overwrite" in str(caught.value)
    return caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "other"}, "holds the result of m"),
        ({"tasks": ("nano_krr",)}, "--tasks nano_kfr, not --tasks nano_krr"),
        ({"limit": 4}, "no --limit, not --limit 4"),
        ({"seed": 1}, "--seed 0, not --seed 1"),
        ({"generation": {"temperature": 0.7}}, "temperature=0.7"),
        ({"scoring": Scoring.split({"kfr_rule": "paper"})}, "kfr_rule=paper"),
        ({"adapter": "loras/a"}, "no adapter, not adapter a"),
    ],
)
def test_other_settings_are_refused_before_anything_is_loaded(folder, changes, words):
    spec = RunSpec(**{"model": "m", "tasks": ("nano_kfr",), **changes})
    assert words in _refused(folder, spec)
    _overwriting.refuse_other(folder, spec, None, overwrite=True)


def test_equal_settings_replace_whatever_the_batch_size(folder):
    spec = RunSpec(model="runs/m", tasks=("nano_kfr",), batch_size=7, device="cpu")
    _overwriting.refuse_other(folder, spec, None, overwrite=False)
    same = ModelInfo(name="m", source="folder", weights_sha256=SHA)
    _overwriting.refuse_other(folder, spec, same, overwrite=False)


@pytest.mark.parametrize("field", ["weights_sha256", "tokenizer_sha256"])
def test_a_folder_of_the_same_name_is_another_model(folder, field):
    other = ModelInfo(name="m", source="folder", **{"weights_sha256": SHA, field: "1" * 64})
    assert "m with" in _refused(folder, SPEC, other)


def test_the_default_folder_tells_checkpoints_and_adapters_apart(tmp_path, monkeypatch):
    for run in "ab":
        (tmp_path / run / "checkpoint-500").mkdir(parents=True)
    names = [_default_folder(str(tmp_path / run / "checkpoint-500"), None).name for run in "ab"]
    assert names == ["a-checkpoint-500", "b-checkpoint-500"]
    assert _default_folder("nano-full", None) == Path("results/nano-full")
    assert _default_folder("nano-full", "loras/mine").name == "nano-full+mine"


def test_one_process_writes_a_folder(tmp_path):
    folder = tmp_path / "new"
    with results.writing(folder):
        with pytest.raises(UserError, match="another process is writing"), results.writing(folder):
            pytest.fail("two writers")
        (folder / "x").touch()
    with results.writing(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["x"]


def test_a_run_that_writes_nothing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), results.writing(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()


REPORTS = (
    ("check", "{out}", "--baseline", "{out}", "--output", "{to}"),
    ("check", "{out}", "--baseline", "{out}", "--junit", "{to}"),
    ("compare", "{out}", "{out}", "--output", "{to}"),
    ("report", "{out}", "--format", "md", "--output", "{to}"),
    ("export", "{out}", "--to", "every-eval-ever", "--output", "{to}"),
    ("export", "{out}", "--to", "open-unlearning", "--output", "{to}"),
)


@pytest.mark.parametrize("command", REPORTS, ids=" ".join)
def test_a_report_replaces_neither_answers_nor_what_is_read(folder, tmp_path, capsys, command):
    from unlearn_bench.cli import main

    answers = tmp_path / "answers.jsonl"
    answers.write_text("{}\n")
    for taken in (folder / "samples.jsonl", folder / "result.json", answers):
        before = taken.read_bytes()
        assert main([word.format(out=folder, to=taken) for word in command]) == 2
        assert taken.read_bytes() == before
        err = capsys.readouterr().err
        assert str(taken) in err
        assert err.rstrip().splitlines()[-1].startswith("  name ")


def test_a_report_replaces_the_report_of_before(tmp_path):
    from tests.leaderboard_documents import write_run
    from unlearn_bench.cli import main

    report = tmp_path / "report.md"
    report.write_text("before")
    assert main(["report", str(write_run(tmp_path / "run")), "--format", "md", "--output", str(report)]) == 0
    assert report.read_text() != "before"
