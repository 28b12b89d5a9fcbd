"""A file is the old one or the new one, whatever happens in between."""

import os
from pathlib import Path

import pytest
import yaml

from unlearn_bench import files


def test_replaces_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    files.write_atomically(path, ["one ", "two"])
    assert path.read_text() == "one two"
    assert os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    def pieces():
        yield "half of"
        if step == "write":
            fail()
        yield " the new one"

    if step != "write":
        monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, pieces())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    files.write_atomically(tmp_path / "a", [""])
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_files_that_belong_together_change_together_or_not_at_all(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a", "b")]
    files.write_together({path: ["old"] for path in paths})
    synced = []

    def full(handle):
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_together({path: ["new"] for path in paths})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "b": "old"}


def test_yaml_is_read_by_libyaml_where_pyyaml_has_it(monkeypatch):
    monkeypatch.setattr(yaml, "CSafeLoader", type("Fast", (yaml.SafeLoader,), {}), raising=False)
    files.yaml_loader.cache_clear()
    assert files.yaml_loader() is yaml.CSafeLoader
    assert files.read_yaml("a: [1, two]") == {"a": [1, "two"]}
    monkeypatch.delattr(yaml, "CSafeLoader")
    files.yaml_loader.cache_clear()
    assert files.yaml_loader() is yaml.SafeLoader
    assert files.read_yaml("a: [1, two]") == {"a": [1, "two"]}
    files.yaml_loader.cache_clear()


def test_libyaml_is_chosen_in_one_place():
    package = Path(files.__file__).parent
    chosen = [path.name for path in package.rglob("*.py") if "CSafeLoader" in path.read_text(encoding="utf-8")]
    assert chosen == ["files.py"]
