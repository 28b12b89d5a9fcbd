"""The user's cache: folders of files that are built once, and hashes of large files that are computed once.

A folder is whole or not there, and is built by one process at a time. A manifest next to its files records the size,
the time and the hash of each. A file of another size or, where the time differs, of another hash makes the folder
invalid, and it is built again.

A hash is remembered for as long as device, inode, size, mtime and ctime of its file stay the same. The kernel sets
ctime whenever a file is written or its mtime is set, so a file that was changed, replaced, or given its old time back
is hashed again (on Windows ctime is the time of creation, and mtime has to tell). A file that changed within the last
two seconds is not remembered, since the next change may carry the same time.

This finds what copies, downloads, editors and killed processes do to a file. It does not find bits that decay on the
disk, nor protect from somebody who can write to the cache, the raw disk or the clock: such a person may put other
weights there, and the hash that results record is the one that was computed when the file was read.
"""

import errno
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.files import umask, write_atomically
from unlearn_bench.hashing import sha256_file, sha256_text

VARIABLE = "UNLEARN_BENCH_CACHE"
MANIFEST = "manifest.json"
_HASHES = "sha256"  # folder of remembered hashes
_SETTLED = 2_000_000_000  # nanoseconds; the coarsest time of a common file system (FAT)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left", "os error 28", "os error 122", "os error 27")  # as libraries in Rust report these

log = logging.getLogger(__name__)


class Built(NamedTuple):
    """A folder of the cache, and what was recorded when it was built."""

    folder: Path
    about: Mapping[str, str]


def cache_folder() -> Path:
    """Where this program keeps files: `UNLEARN_BENCH_CACHE`, else `unlearn-bench` in `XDG_CACHE_HOME` or ~/.cache.

    Raises:
        UserError: if neither variable is set and the user has no home folder.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # the XDG standard: ignore a relative path
    except RuntimeError:
        raise UserError("this user has no home folder to keep a cache in", hint=f"set {VARIABLE} to a folder") from None
    return root / "unlearn-bench"


def built_once(key: str, build: Callable[[Path], Mapping[str, str]], *, what: str) -> Built:
    """The folder of the cache that `key` names, built if it is missing, incomplete or changed.

    Args:
        key: Relative path in the cache; it names the content and the version of what builds it.
        build: Writes the files into an empty folder and returns what is to be recorded about them.
        what: What is unpacked, as messages call it.

    Raises:
        UserError: if the cache cannot be written or is full; or what `build` raises.
    """
    target = cache_folder() / key
    if (about := _recorded(target)) is not None:
        return Built(target, about)
    from filelock import FileLock, Timeout

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f"{target.name}.lock"), mode=0o666 & ~umask())
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("%s: waiting for another process that unpacks it", what)
            lock.acquire()
        try:
            if (about := _recorded(target)) is None:
                about = _build(target, build)
        finally:
            lock.release()
    except Exception as error:
        raise _explained(error, what) from error
    return Built(target, about)


def check_room(folder: Path, nbytes: int, what: str) -> None:
    """Refuse to write what will not fit.

    Raises:
        UserError: naming the size and what is free.
    """
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise UserError(
            f"{what}: unpacked it takes {nbytes >> 20:,} MiB, and {cache_folder()} has {free >> 20:,} MiB left",
            hint=f"free some space, or set {VARIABLE} to a folder on another disk",
        )


def known_sha256(path: Path) -> str:
    """Hash of a file, read only where it changed since it was last hashed on this machine.

    Where the cache cannot be written, it is remembered in this process only.

    Raises:
        OSError: if the file cannot be read.
    """
    path = path.resolve()
    state = _state(path)
    try:
        note = cache_folder() / _HASHES / f"{sha256_text(str(path))}.json"
    except UserError:  # no home folder
        return _hashed(path, state)
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == list(state) and isinstance(known["sha256"], str):
            return known["sha256"]
    digest = _hashed(path, state)
    settled = time.time_ns() - max(state.mtime, state.ctime) > _SETTLED
    if settled and _state(path) == state:
        with suppress(OSError):
            write_atomically(note, [json.dumps({"state": state, "sha256": digest})])
    return digest


class _State(NamedTuple):
    """What the file system says of a file; times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int


def _state(path: Path) -> _State:
    found = path.stat()
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@cache
def _hashed(path: Path, state: _State) -> str:
    return sha256_file(path)


def _build(target: Path, build: Callable[[Path], Mapping[str, str]]) -> Mapping[str, str]:
    """Build in a temporary folder, which takes the name when it is complete; the lock is held."""
    for left in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        new = work / "new"
        new.mkdir()
        about = dict(build(new))
        for path in new.iterdir():
            path.chmod(0o666 & ~umask())
        files = {path.name: _entry(path) for path in new.iterdir()}
        (new / MANIFEST).write_text(json.dumps({"about": about, "files": files}, indent=2), encoding="utf-8")
        if target.exists():
            target.rename(work / "old")
        new.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return about


def _entry(path: Path) -> list[object]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, sha256_file(path)]


def _recorded(folder: Path) -> Mapping[str, str] | None:
    """What was recorded about a folder; None where it is not as it was built."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {path.name: path for path in folder.iterdir() if path.name != MANIFEST}
        if files.keys() == manifest["files"].keys() and all(
            _unchanged(files[name], *state) for name, state in manifest["files"].items()
        ):
            return dict(manifest["about"])
    return None


def _unchanged(path: Path, size: int, modified: int, digest: str) -> bool:
    found = path.stat()
    return found.st_size == size and (found.st_mtime_ns == modified or known_sha256(path) == digest)


def _explained(error: Exception, what: str) -> Exception:
    """What went wrong with the cache; any other error as it is."""
    hint = f"set {VARIABLE} to a folder that can be written and has room"
    if getattr(error, "errno", None) in _FULL or any(words in str(error) for words in _FULL_WORDS):
        return UserError(f"{what}: the disk is full; it is unpacked into {cache_folder()}", hint=hint)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return UserError(f"{what}: cannot be unpacked into {cache_folder()}: {reason}", hint=hint)
    return error
