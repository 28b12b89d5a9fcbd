"""Folders of files that are built once and kept in the user's cache: whole or not there, by one process at a time.

A manifest next to the files records the size, the hash and the time of each. A file of another size or, where the time
differs, of another hash makes the folder invalid, and it is built again.
"""

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.files import umask
from unlearn_bench.hashing import sha256_file

VARIABLE = "UNLEARN_BENCH_CACHE"
MANIFEST = "manifest.json"
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
        files = {path.name: _state(path) for path in new.iterdir()}
        (new / MANIFEST).write_text(json.dumps({"about": about, "files": files}, indent=2), encoding="utf-8")
        if target.exists():
            target.rename(work / "old")
        new.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return about


def _state(path: Path) -> list[object]:
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
    return found.st_size == size and (found.st_mtime_ns == modified or sha256_file(path) == digest)


def _explained(error: Exception, what: str) -> Exception:
    """What went wrong with the cache; any other error as it is."""
    hint = f"set {VARIABLE} to a folder that can be written and has room"
    if getattr(error, "errno", None) in _FULL or any(words in str(error) for words in _FULL_WORDS):
        return UserError(f"{what}: the disk is full; it is unpacked into {cache_folder()}", hint=hint)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return UserError(f"{what}: cannot be unpacked into {cache_folder()}: {reason}", hint=hint)
    return error
