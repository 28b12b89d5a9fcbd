"""Boards on disk: read strictly, written whole, one writer at a time.

A writer takes the lock, reads the board as it is now, changes it, writes a temporary file next to it, flushes it to
the disk and renames it over the old one. A reader therefore sees the old board or the new one, after a kill too; the
lock is the operating system's, so a killed writer holds nothing.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from unlearn_bench.boards.board import Board, Entry
from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.results.reading import validated
from unlearn_bench.untrusted import strict_json

MAX_BOARD = 256 * strict_json.MIB
LOCK_SECONDS = 120.0
_BROKEN = "restore the file, or read it with the version of unlearn-bench that wrote it"


def read_board(path: Path) -> Board:
    """Read a leaderboard file.

    Raises:
        UserError: if it is missing, too big, not strict JSON, or not a board.
    """
    text = strict_json.read_text(path, limit=MAX_BOARD, what="leaderboard")
    return validated(Board, text, where=f"leaderboard {path}", otherwise=" is not a board", hint=_BROKEN)


def dump_board(board: Board) -> str:
    """The stable text of a board: its head in full, entries without the fields that hold their default.

    Fields that came after the first boards are written where they say something: an old file stays as it is.
    """
    head = board.model_dump(mode="json", exclude={"entries"})
    _drop_unset(head, ("datasets", "logs"))
    _drop_unset(head["rules"], ("scoring", "chat_templates", "tokenizers"))
    for rule in head["tasks"].values():
        _drop_unset(rule, ("question", "scorers"))
    return strict_json.pretty({**head, "entries": [_dump_entry(entry) for entry in board.entries]})


def _drop_unset(plain: dict[str, object], names: Sequence[str]) -> None:
    for name in names:
        if not plain[name]:
            del plain[name]


def _dump_entry(entry: Entry) -> dict[str, object]:
    plain = entry.model_dump(mode="json", exclude_defaults=True)
    return {**plain, "result": {"schema_version": entry.result.schema_version, **plain["result"]}}


@contextlib.contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[Path]:
    """Hold the board's lock; yields the real path of the file (a link is followed, never replaced).

    Raises:
        UserError: if another process holds the lock for longer than `seconds`.
    """
    real = path.resolve()
    if not real.is_file():
        raise UserError(f"leaderboard {path} does not exist", hint="leaderboards/README.md says how to start a board")
    try:
        with FileLock(real.with_name(f".{real.name}.lock"), timeout=seconds):
            _remove_leftovers(real)
            yield real
    except Timeout:
        raise UserError(f"leaderboard {path} has been locked by another process for {seconds:g} s") from None


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of writers that were killed; the lock is held, so none is in use."""
    for leftover in path.parent.glob(f".{path.name}.????????"):  # the shape of a name from `tempfile`
        leftover.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Replace a file by a new text, or leave it as it is; the rename is made durable too."""
    write_atomically(path, [text])
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
