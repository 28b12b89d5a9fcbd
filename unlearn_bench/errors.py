"""Errors a user can act on, and the exit codes of the command line."""

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import json

EXIT_OK = 0
EXIT_FAILED = 1  # the work was done and the answer is bad: a regression, malformed rows
EXIT_USAGE = 2  # the work could not be done: bad input, not comparable
EXIT_UNDECIDED = 3  # `check` could not decide about a large change; `verify` lacks the log that a row was scored from
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells report it


MAX_TEXT = 4_000  # of a message: a name of a megabyte is not printed whole
LINE = "\n  "  # how a message of several lines is joined; any other line break is data


def printable(text: str) -> str:
    r"""The text as a terminal or a CI log may show it.

    What cannot be seen, moves the cursor or turns the reading direction is written out, and no line begins with what a
    CI system takes for a command. Lines that are joined by `LINE` stay lines.

    >>> printable("a\u202eb\nc"), printable("two\n  ::error::lines")
    ('a\\u202eb\\nc', 'two\n  \\::error::lines')
    """
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    first, *others = ("".join(map(_shown, line)) for line in cut.split(LINE))
    return LINE.join([first, *(f"\\{line}" if line.lstrip().startswith(("::", "##[")) else line for line in others)])


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


class UserError(Exception):
    """A mistake in what the user gave us; printed without a traceback, and safe to print (`printable`).

    Args:
        message: What was expected and what came, in one line.
        hint: What to type next; printed on its own line.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = printable(message)
        self.hint = None if hint is None else printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # `OSError.errno` of a full disk, by any limit
_NEXT = {
    **dict.fromkeys(
        FULL,
        "free some room, or name a folder on another disk; the same command goes on where it can",
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name a file or folder that you may read and write"),
    errno.EISDIR: "a file is needed here: name one in that folder, or another",
    errno.ENOTDIR: "what stands before the last / is a file: name a folder",
}


def fault(error: "json.JSONDecodeError") -> str:
    """What is wrong with a JSON text, to stand before its place: Python's message without the "at" of some."""
    return error.msg.removesuffix(" at")


def of_system(error: OSError) -> str:
    """What the system said, and of which file: of a file that was to take another's name, that name."""
    where = error.filename2 or error.filename
    return f"{error.strerror or error}{f': {where}' if where else ''}"


def next_step(error: OSError) -> str | None:
    """What the user can do where the disk is full, a file may not be touched, or file and folder are confused."""
    return _NEXT.get(error.errno or 0)
