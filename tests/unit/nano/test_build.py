"""`unlearn-bench nano`: nothing half-written, nothing replaced without being asked, and the disk looked at first."""

import shutil
from collections import namedtuple

import pytest

from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.nano import build as builder
from unlearn_bench.nano import train as trainer
from unlearn_bench.nano.corpus import CORPUS_FILE


@pytest.fixture
def fake_training(monkeypatch):
    """A training that takes no time; `save` writes one file."""

    def train(name, *, seed, progress):
        progress(1, 1, 0.5)
        return name, seed

    def save(name, seed, folder):
        folder.mkdir()
        (folder / "config.json").write_text(f"{name} {seed}")

    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(trainer, "save", save)


def make(output, **changed):
    return builder.build("nano-base", output, **{"seed": 1, "overwrite": False, "progress": lambda *_: None, **changed})


def test_writes_the_folder_and_nothing_else(fake_training, tmp_path):
    assert make(tmp_path / "out") == tmp_path / "out" / "nano-base"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["nano-base"]


def test_refuses_to_replace_unless_forced(fake_training, tmp_path):
    make(tmp_path)
    with pytest.raises(UserError, match="already there") as error:
        make(tmp_path, seed=2)
    assert "--overwrite" in error.value.hint
    assert (tmp_path / "nano-base" / "config.json").read_text() == "nano-base 1"
    make(tmp_path, seed=2, overwrite=True)
    assert (tmp_path / "nano-base" / "config.json").read_text() == "nano-base 2"
    assert [path.name for path in tmp_path.iterdir()] == ["nano-base"]


def test_a_failure_while_saving_leaves_the_old_checkpoint(fake_training, monkeypatch, tmp_path):
    make(tmp_path)

    def full_disk(model, tokenizer, folder):
        folder.mkdir()
        (folder / "config.json").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, seed=2, overwrite=True)
    assert (tmp_path / "nano-base" / "config.json").read_text() == "nano-base 1"
    assert [path.name for path in tmp_path.iterdir()] == ["nano-base"]


def test_a_full_disk_is_found_before_the_training(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1 << 20))
    with pytest.raises(UserError, match="64 MiB of free disk space are needed, 1 MiB"):
        make(tmp_path)


def test_unknown_name_gets_a_suggestion(tmp_path, capsys):
    assert main(["nano", "build", "--name", "nano-ful", "--output", str(tmp_path)]) == 2
    assert "did you mean nano-full" in capsys.readouterr().err


def test_command_checks_all_names_before_it_trains_one(fake_training, tmp_path, capsys):
    (tmp_path / "nano-retain").mkdir()
    arguments = ["nano", "build", "--name", "nano-full", "nano-retain", "--output", str(tmp_path)]
    assert main(arguments) == 2
    assert not (tmp_path / "nano-full").exists()
    assert main([*arguments, "--overwrite"]) == 0
    printed = capsys.readouterr()
    assert "nano-full" in printed.out
    assert "--name is called --checkpoints now; --name goes away in 0.3" in printed.err
    assert main(["nano", "build", "--checkpoints", "nano-full", "--output", str(tmp_path), "--force", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_corpus_command(monkeypatch, tmp_path, capsys):
    assert main(["nano", "corpus", "--check"]) == 0
    path = tmp_path / "corpus.jsonl"
    builder.write_corpus(path)
    assert path.read_bytes() == CORPUS_FILE.read_bytes()
    monkeypatch.setattr(builder.corpus_differs, "__defaults__", (tmp_path / "missing.jsonl",))
    assert main(["nano", "corpus", "--check"]) == 1
    assert "missing" in capsys.readouterr().err
