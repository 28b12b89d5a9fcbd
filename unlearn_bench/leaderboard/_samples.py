"""samples.jsonl: read with limits, found beside a result or a board, kept under its own hash.

A board keeps its samples compressed, as every question is in them once a task: 1.3 MB of nano become 85 kB. bzip2,
because it never needs more than 8 MB to unpack, whatever a stranger's file says. Limits and hashes are of the text;
how far a packed file may unpack is limited by its size, so that a small file is refused after a small text.
"""

import bz2
import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.leaderboard import _store, _strict_json
from unlearn_bench.leaderboard._text import shown
from unlearn_bench.schema import Result, Sample

MAX_FILE = 128 * _strict_json.MIB
MAX_RATIO = 100  # of unpacked to packed; samples of a run unpack to 10 to 25 times their size
FREE = 4 * _strict_json.MIB  # that a packed file of any size may unpack to
MAX_LINE = 2 * _strict_json.MIB
MAX_ROWS = 1_000_000
FOLDER = "samples"
PACKED = ".bz2"


def beside(result_path: Path) -> Path | None:
    """The samples.jsonl that `run` or `score` wrote beside a result, or None."""
    folder = result_path if result_path.is_dir() else result_path.parent
    path = folder / "samples.jsonl"
    return path if path.is_file() else None


def kept(board_path: Path, digest: str | None) -> Path | None:
    """The samples that a board keeps for a result, or None."""
    if digest is None:
        return None
    path = _target(board_path.resolve().parent, digest)
    return path if path.is_file() else None


def keep(source: Path, folder: Path, digest: str) -> None:
    """Copy samples beside a board. The name is their hash, so no text of a submitter becomes a path.

    Raises:
        UserError: if the samples are not those of that hash (any more).
    """
    if _target(folder, digest).exists():
        return
    with _opened(source) as file:
        data = file.read(most_bytes(source))
    if hashlib.sha256(data).hexdigest() != digest:
        raise UserError(f"{source} changed while it was being submitted")
    write_atomically(_target(folder, digest), [bz2.compress(data)])


def keep_text(lines: Iterable[str], folder: Path, digest: str) -> None:
    """Keep samples that were just made beside a board, under the hash of their text."""
    if not _target(folder, digest).exists():
        write_atomically(_target(folder, digest), [bz2.compress("".join(lines).encode("utf-8"))])


def _target(folder: Path, digest: str) -> Path:
    return folder / FOLDER / f"{digest}.jsonl{PACKED}"


def sha256(path: Path) -> str:
    """Hash of the samples' text; see `_opened` for what is refused."""
    digest, most = hashlib.sha256(), most_bytes(path)
    with _opened(path) as file:
        size = 0
        while chunk := file.read(_strict_json.MIB):
            size += len(chunk)
            if size > most:
                raise _too_large(path, most)
            digest.update(chunk)
    return digest.hexdigest()


def most_bytes(path: Path) -> int:
    """How many bytes of text a file of samples may hold."""
    size = path.stat().st_size if path.is_file() else 0
    return min(MAX_FILE, max(FREE, MAX_RATIO * size)) if path.suffix == PACKED else MAX_FILE


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The samples' text as bytes, unpacked where it is packed.

    Raises:
        UserError: if it is no regular file (a pipe would wait for ever), or cannot be unpacked.
    """
    if not path.is_file():
        raise UserError(f"samples {shown(str(path))} is not a file")
    if path.suffix != PACKED:
        with path.open("rb") as file:
            yield file
        return
    try:
        with bz2.open(path, "rb") as file:
            yield file
    except (EOFError, OSError) as error:
        raise UserError(f"samples {path} cannot be unpacked: {error}") from None


def _too_large(path: Path, most: int) -> UserError:
    packed = " unpacked," if path.suffix == PACKED else ""
    limit = f"{most / _strict_json.MIB:.3g} MiB"
    return UserError(f"samples {shown(str(path))}{packed} is larger than the limit of {limit}")


def read_samples(path: Path) -> list[Sample]:
    """Every sample of a file.

    Raises:
        UserError: naming the line, if one is no sample; or if the file is over a limit.
    """
    return list(iterate(path))


def iterate(path: Path, most: int = MAX_ROWS) -> Iterator[Sample]:
    """The samples of a file, one at a time; see `read_samples`. More than `most`, and one more, are not read."""
    size, limit = 0, most_bytes(path)
    with _opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
            size += len(line)
            if size > limit:
                raise _too_large(path, limit)
            if len(line) > MAX_LINE:
                raise UserError(f"{path}:{number}: a line longer than {MAX_LINE // _strict_json.MIB} MiB")
            if number > MAX_ROWS:
                raise UserError(f"samples {path} holds more than {MAX_ROWS:,} rows")
            if number > most + 1:  # one too many is enough to see that the number is wrong
                return
            yield _sample(line, f"{path}:{number}")


def _sample(line: bytes, where: str) -> Sample:
    try:
        text = line.decode("utf-8")
        _strict_json.parse(text)
        return Sample.model_validate_json(text, strict=True)
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8") from None
    except _strict_json.Refused as error:
        raise UserError(f"{where}: {error}") from None
    except ValidationError as error:
        raise UserError(f"{where}: not a sample: {_store.first_error(error)}") from None


def matching(result: Result, path: Path) -> list[Sample]:
    """The samples of a file, made sure to be the result's own.

    Raises:
        UserError: if the result names other samples.
    """
    if result.samples_sha256 is not None and sha256(path) != result.samples_sha256:
        raise UserError(
            f"samples {path} are not those of this result (the hash differs)",
            hint="a paired test needs the samples that were scored; name them, or leave them out",
        )
    return read_samples(path)
