"""Folders that are built once: whole or not there, rebuilt where they were changed, by one process at a time."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_file
from unlearn_bench.models import _cache
from unlearn_bench.models._cache import MANIFEST, VARIABLE, Built, built_once, cache_folder, check_room, known_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Build:
    """Writes two files, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> dict[str, str]:
        self.times += 1
        (folder / "a").write_bytes(b"weights" * 1000)
        (folder / "b").write_text("tokenizer")
        return {"kind": "Q4_1"}


def _built(build: Callable[[Path], dict[str, str]]) -> Built:
    return built_once("gguf/abc-1", build, what="model m")


def test_it_is_built_once(cache: Path) -> None:
    build = Build()
    first = _built(build)
    assert _built(build) == first == Built(cache / "gguf" / "abc-1", {"kind": "Q4_1"})
    assert build.times == 1
    assert sorted(p.name for p in first.folder.iterdir()) == ["a", "b", MANIFEST]
    assert [p.name for p in (cache / "gguf").iterdir() if p.name.startswith(".")] == []


def _flip(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"w", b"v", 1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a").write_bytes(b"weights"),
        lambda folder: _flip(folder / "a"),
        lambda folder: (folder / "b").unlink(),
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_text("{"),
        lambda folder: (folder / MANIFEST).write_text('{"about": {}, "files": {"a": 1, "b": 2}}'),
    ],
    ids=["cut short", "changed", "missing", "added", "no manifest", "half a manifest", "another manifest"],
)
def test_a_damaged_folder_is_built_again(damage: Callable[[Path], object]) -> None:
    build = Build()
    folder = _built(build).folder
    damage(folder)
    assert _built(build).folder == folder
    assert build.times == 2
    assert (folder / "a").read_bytes() == b"weights" * 1000
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b", MANIFEST]


class Hashed:
    """Counts the files that are read for their hash; `forget` stands for the end of a process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        monkeypatch.setattr(_cache, "sha256_file", self._hash)
        monkeypatch.setattr(_cache, "_SETTLED", -(10**9))  # files of a test are never two seconds old
        self.forget()

    def _hash(self, path: Path) -> str:
        self.names.append(path.name)
        return sha256_file(path)

    def forget(self) -> None:
        _cache._hashed.cache_clear()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Hashed:
    return Hashed(monkeypatch)


def test_a_file_is_hashed_once_for_all_processes(tmp_path: Path, hashed: Hashed) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"weights")
    (tmp_path / "link").symlink_to(file)
    for path in (file, file, tmp_path / "link"):
        assert known_sha256(path) == sha256_file(file)
        hashed.forget()
    assert hashed.names == ["a"]


def _given_its_old_time_back(file: Path) -> None:
    old = file.stat().st_mtime_ns
    file.write_bytes(b"changed")
    os.utime(file, ns=(old, old))


def _replaced(file: Path) -> None:
    old = file.stat().st_mtime_ns
    file.with_name("new").write_bytes(b"changed")
    os.utime(file.with_name("new"), ns=(old, old))
    file.with_name("new").replace(file)


def _until_the_clock_of_files_moves(file: Path) -> None:
    """It moves every few milliseconds: a change in the same moment would carry the same time."""
    other = file.with_name("other")
    while not other.exists() or other.stat().st_ctime_ns <= file.stat().st_ctime_ns:
        other.touch()


@pytest.mark.parametrize("change", [lambda f: f.write_bytes(b"changed"), _given_its_old_time_back, _replaced])
@pytest.mark.skipif(sys.platform == "win32", reason="ctime is the time of creation there")
def test_a_changed_file_is_hashed_again(change: Callable[[Path], object], tmp_path: Path, hashed: Hashed) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"weights")
    before = known_sha256(file)
    _until_the_clock_of_files_moves(file)
    change(file)
    hashed.forget()
    assert known_sha256(file) == sha256_file(file) != before


@pytest.mark.parametrize(("seconds", "remembered"), [(1, False), (3, True)])
def test_what_was_written_just_now_is_not_remembered(
    seconds: int, remembered: bool, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next change could carry the same time."""
    (tmp_path / "a").write_bytes(b"weights")
    written = (tmp_path / "a").stat().st_ctime_ns
    monkeypatch.setattr(_cache.time, "time_ns", lambda: written + seconds * 10**9)
    known_sha256(tmp_path / "a")
    assert cache.exists() == remembered


@pytest.mark.parametrize("text", ["{", "[]", '{"state": [], "sha256": "0"}', '{"sha256": "0"}', "\xff"])
def test_a_damaged_note_is_not_believed(text: str, cache: Path, tmp_path: Path, hashed: Hashed) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    known_sha256(tmp_path / "a")
    (note,) = cache.rglob("*.json")
    note.write_bytes(text.encode("latin-1"))
    hashed.forget()
    assert known_sha256(tmp_path / "a") == sha256_file(tmp_path / "a")
    assert json.loads(note.read_text())["sha256"] == sha256_file(tmp_path / "a")


def test_a_hash_needs_no_cache(cache: Path, tmp_path: Path, hashed: Hashed) -> None:
    cache.write_text("a file where the folder should be")
    (tmp_path / "a").write_bytes(b"weights")
    assert known_sha256(tmp_path / "a") == known_sha256(tmp_path / "a") == sha256_file(tmp_path / "a")
    assert hashed.names == ["a"]


def test_a_copied_cache_is_hashed_once(hashed: Hashed) -> None:
    build = Build()
    folder = _built(build).folder
    os.utime(folder / "a", (1, 1))
    hashed.names.clear()
    for _ in range(3):
        hashed.forget()
        _built(build)
    assert (hashed.names, build.times) == (["a"], 1)


def test_what_a_killed_process_left_is_removed(cache: Path) -> None:
    left = cache / "gguf" / ".abc-1.xyz" / "new"
    left.mkdir(parents=True)
    (left / "a").write_bytes(b"half")
    _built(Build())
    assert not left.parent.exists()


def _fails(error: Exception) -> Callable[[Path], dict[str, str]]:
    def build(folder: Path) -> dict[str, str]:
        (folder / "a").write_bytes(b"half")
        raise error

    return build


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "Read-only file system"),
        (UserError("model m: damaged"), "model m: damaged"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(cache: Path, error: Exception, words: str) -> None:
    with pytest.raises(UserError, match=words):
        _built(_fails(error))
    assert [p.name for p in (cache / "gguf").iterdir() if not p.name.endswith(".lock")] == []
    assert _built(Build()).about == {"kind": "Q4_1"}


def test_a_cache_that_cannot_be_made(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be unpacked into") as caught:
        _built(Build())
    assert VARIABLE in str(caught.value.hint)


def test_a_read_only_cache_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _built(Build())

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert _built(Build()).about == {"kind": "Q4_1"}
    (cache / "gguf" / "abc-1" / "b").unlink()
    with pytest.raises(UserError, match="Read-only file system"):
        _built(Build())


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    with pytest.raises(UserError, match=r"takes 6 MiB, and .* has 5 MiB left"):
        check_room(tmp_path, 6 << 20, "model m")
    check_room(tmp_path, 5 << 20, "model m")


def test_a_full_disk_while_writing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails half-way, for real."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "import numpy, safetensors.numpy\n"
        "from unlearn_bench.models._cache import built_once\n"
        "save = lambda folder: safetensors.numpy.save_file({'a': numpy.zeros(1 << 20)}, folder / 'a') or {}\n"
        "try: built_once('k', save, what='model m')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("UserError model m: the disk is full"), done.stdout + done.stderr


def test_two_processes_build_once(cache: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from unlearn_bench.models._cache import built_once\n"
        "def build(folder):\n"
        "    with open(sys.argv[1], 'a') as log: log.write('built\\n')\n"
        "    time.sleep(0.5); (folder / 'a').write_text('x'); return {}\n"
        "print(built_once('k', build, what='model m').folder)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [out.strip() for out, _ in said] == [str(cache / "k")] * 2
    assert (tmp_path / "log").read_text() == "built\n"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "unlearn-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "unlearn-bench"
    assert _cache.cache_folder().is_absolute()
