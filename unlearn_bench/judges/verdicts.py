"""Replies of judges on disk: verdicts.jsonl, which travels with a result, so that others score without the key.

A line holds the reply itself, not what was read in it, under the hash of everything that was asked:

    {"key": hash of judge and messages, "judge": {...}, "asked": "forget", "said": "…", "tokens": [prompt, completion]}

Lines are appended one by one under a lock, each flushed to the disk: a killed run keeps what was paid for, and two
processes may share the file. Half a line at the end is what a kill leaves; `Kept` takes it off, `read` refuses it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from unlearn_bench.errors import UserError
from unlearn_bench.files import open_regular
from unlearn_bench.hashing import sha256_file, sha256_json
from unlearn_bench.judges.asked import Kind
from unlearn_bench.llm import Messages
from unlearn_bench.results.reading import read_result, validated
from unlearn_bench.schema import Finite, Sha256, Strict
from unlearn_bench.untrusted import strict_json
from unlearn_bench.untrusted.strings import shown

if TYPE_CHECKING:
    from filelock import FileLock

NAME = "verdicts.jsonl"
MAX_FILE = 256 << 20
MAX_LINE = 64 << 10
MAX_SAID = 4_000  # characters of a reply that are kept and read
Text = Annotated[str, Field(max_length=200)]


class Identity(Strict):
    """Which judge: what, beside the messages, can change a reply.

    Attributes:
        model: Its name at the endpoint, or the checkpoint's.
        endpoint: Host of a public endpoint; "local" for one on this machine or network; of a checkpoint in this process
            the hash of its weights.
        temperature: 0 for greedy.
        json_mode: How JSON is asked for.
        prompts: Version of the prompts.
    """

    model: Text
    endpoint: Text
    temperature: Annotated[Finite, Field(ge=0)]
    json_mode: Text
    prompts: int


class Line(Strict):
    """One reply: a line of the file."""

    key: Sha256
    judge: Identity
    asked: Kind
    said: Annotated[str, Field(max_length=MAX_SAID)]
    tokens: tuple[Annotated[int, Field(ge=0, le=10**9)], Annotated[int, Field(ge=0, le=10**9)]]


def key_of(judge: Identity, messages: Messages) -> str:
    """Hash of all that was asked, and of whom."""
    return sha256_json([judge.model_dump(), [dict(message) for message in messages]])


def read(path: Path) -> dict[str, Line]:
    """Every reply of a file, by its key; as a file that anybody may have written.

    Raises:
        UserError: naming the line, if one is not a reply, or a key is there twice; if the file is over a limit; or if
            the result beside it names another file.
    """
    name = shown(str(path))
    try:
        with open_regular(path) as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise UserError(f"verdicts {name} does not exist", hint=f"a run with --judge keeps them as {NAME}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"verdicts {name} cannot be read: {error}") from None
    if len(data) > MAX_FILE:
        raise _too_large(name)
    if data and not data.endswith(b"\n"):
        raise UserError(
            f"verdicts {name} ends within a line", hint="the run that wrote it was killed: start its command again"
        )
    found = _by_key(name, data)
    _refuse_others(path, name)
    return found


def _too_large(name: str) -> UserError:
    return UserError(f"verdicts {name} is larger than the limit of {MAX_FILE / strict_json.MIB:.3g} MiB")


def _by_key(name: str, data: bytes) -> dict[str, Line]:
    found: dict[str, Line] = {}
    for number, line in enumerate(_lines(data), start=1):
        one = _line(line, f"{name}:{number}")
        if one.key in found:
            raise UserError(f"{name}:{number}: this was asked before, in an earlier line: one question has one reply")
        found[one.key] = one
    return found


def _lines(data: bytes) -> Iterator[bytes]:
    return (line for line in data.split(b"\n") if line)


def _line(line: bytes, where: str) -> Line:
    if len(line) > MAX_LINE:
        raise UserError(f"{where}: a line longer than {MAX_LINE >> 10} KiB")
    return validated(Line, line, where=where, otherwise=": not a judge's reply")


def _refuse_others(path: Path, name: str) -> None:
    """Refuse a file that is not the one which the result beside it was made with."""
    beside = path.parent / "result.json"
    if not beside.is_file():
        return
    expected = read_result(beside).verdicts_sha256
    if expected is not None and expected != sha256_file(path):
        raise UserError(
            f"verdicts {name} are not those of the result beside them (the hash differs)",
            hint="take the file that came with the result, or start the command that wrote them again",
        )


class Kept:
    """Replies that are kept while a judge is asked.

    Args:
        path: The file; made with the first reply. None keeps them in memory only.

    Raises:
        UserError: if the file holds anything but replies, before half a line at its end.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._found: dict[str, Line] = {}
        self._read = 0  # bytes of the file that are known
        self._lock = Lock()
        if path is not None and path.exists():
            with self._locked():
                self._catch_up()

    def get(self, key: str) -> Line | None:
        """The reply to a question, if it was asked before."""
        return self._found.get(key)

    def lines(self) -> list[Line]:
        """Every reply."""
        return list(self._found.values())

    def add(self, line: Line) -> Line:
        """Keep a reply; if another process asked the same meanwhile, its reply is kept and returned.

        Raises:
            OSError: if the disk is full or the file cannot be written.
        """
        with self._lock:
            if self.path is None:
                return self._found.setdefault(line.key, line)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._catch_up()
                if line.key not in self._found:
                    self._append((line.model_dump_json() + "\n").encode("utf-8"))
                    self._found[line.key] = line
            return self._found[line.key]

    def _append(self, data: bytes) -> None:
        with self.path.open("ab") as file:  # type: ignore[union-attr]
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._read += len(data)

    def _catch_up(self) -> None:
        """Read what other processes appended, and take off half a line, which only a killed one leaves."""
        if not self.path.exists():  # type: ignore[union-attr]
            self._read = 0
            return
        with self.path.open("r+b") as file:  # type: ignore[union-attr]
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise _too_large(shown(str(self.path)))
            file.seek(self._read)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                file.truncate(self._read + len(whole))
        for key, line in _by_key(shown(str(self.path)), whole).items():
            self._found.setdefault(key, line)
        self._read += len(whole)

    def _locked(self) -> "FileLock":
        from filelock import FileLock

        return FileLock(self.path.with_name(f".{self.path.name}.lock"))  # type: ignore[union-attr]


class KeptFile:
    """Replies of a file that came from elsewhere: read once, strictly, and never written.

    Args:
        path: The file, or the folder of a result that holds it.

    Raises:
        UserError: as `read`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / NAME if path.is_dir() else path
        self._found = read(self.path)

    @property
    def name(self) -> str:
        """The file as messages show it."""
        return shown(str(self.path))

    def get(self, key: str) -> Line | None:
        """The reply to a question, if the file has it."""
        return self._found.get(key)

    def lines(self) -> list[Line]:
        """Every reply."""
        return list(self._found.values())

    def identities(self) -> list[Identity]:
        """The judges whose replies the file holds, each once."""
        return list({line.judge.model_dump_json(): line.judge for line in self._found.values()}.values())
