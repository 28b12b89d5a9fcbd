r"""What every verb prints passes here: a line never starts a command of a CI system, and no terminal stops a verb.

GitHub takes a line that begins with `::` (after spaces), or holds `##[`, for a command; Azure and TeamCity read
`##vso[` and `##teamcity[`. Names, labels and answers are untrusted. On a terminal that knows only ASCII, other
characters are written out (`\xe9`); a closed output is written nowhere, and the exit code still says the verdict.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

_MARKED = re.compile(r"#(?=#(?:vso|teamcity)?\[)")
_COMMAND = re.compile(r"^\s*:(?=:)|" + _MARKED.pattern, re.MULTILINE)


class Calm:
    """A text stream that breaks up what a CI system would take for a command."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._blank = True  # the line holds nothing but spaces so far

    def write(self, text: str) -> int:
        """Write a text; returns its length, as every stream does."""
        head, newline, rest = text.partition("\n")
        self.stream.write((calm(head) if self._blank else _MARKED.sub("# ", head)) + newline + calm(rest))
        self._blank = bool(self._blank or newline) and not (rest.rpartition("\n")[2] if newline else head).strip()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def calm(text: str) -> str:
    """The text with every CI command broken up by a space.

    >>> calm("::error::x"), calm("  ::warning::y"), calm("a ##[group]b"), calm("a::b")
    (': :error::x', '  : :warning::y', 'a # #[group]b', 'a::b')
    """
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


def workflow_commands(text: str) -> None:
    """Write GitHub workflow commands of our own, as they are."""
    stream = sys.stdout
    (stream.stream if isinstance(stream, Calm) else stream).write(text)


@contextmanager
def calm_streams() -> Iterator[None]:
    """Standard output and standard error as described above, for the duration."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (Calm(stream if stream is not None else _nowhere()) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
