"""samples.jsonl: read with limits, found beside a result or a board, kept under its own hash."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.fingerprint import sha256_file
from unlearn_bench.leaderboard import _store, _strict_json
from unlearn_bench.schema import Result, Sample

MAX_FILE = 512 * _strict_json.MIB
MAX_LINE = 2 * _strict_json.MIB
MAX_ROWS = 1_000_000
FOLDER = "samples"


def beside(result_path: Path) -> Path | None:
    """The samples.jsonl that `run` or `score` wrote beside a result, or None."""
    folder = result_path if result_path.is_dir() else result_path.parent
    path = folder / "samples.jsonl"
    return path if path.is_file() else None


def kept(board_path: Path, digest: str | None) -> Path | None:
    """The samples that a board keeps for a result, or None."""
    if digest is None:
        return None
    path = board_path.resolve().parent / FOLDER / f"{digest}.jsonl"
    return path if path.is_file() else None


def keep(source: Path | None, folder: Path, digest: str | None) -> None:
    """Copy samples beside a board. The name is their hash, so no text of a submitter becomes a path."""
    if source is None or digest is None:
        return
    target = folder / FOLDER / f"{digest}.jsonl"
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        text = _strict_json.read_text(source, limit=MAX_FILE, what="samples")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise UserError(f"{source} changed while it was being submitted")
        _store.write(target, text)


def read_samples(path: Path) -> list[Sample]:
    """Every sample of a file.

    Raises:
        UserError: naming the line, if one is no sample; or if the file is over a limit.
    """
    return list(iterate(path))


def iterate(path: Path) -> Iterator[Sample]:
    """The samples of a file, one at a time; see `read_samples`."""
    if not path.is_file():
        raise UserError(f"samples {path} is not a file")
    if os.path.getsize(path) > MAX_FILE:
        raise UserError(f"samples {path} is larger than the limit of {MAX_FILE // _strict_json.MIB} MiB")
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
            if len(line) > MAX_LINE:
                raise UserError(f"{path}:{number}: a line longer than {MAX_LINE // _strict_json.MIB} MiB")
            if number > MAX_ROWS:
                raise UserError(f"samples {path} holds more than {MAX_ROWS:,} rows")
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
    if result.samples_sha256 is not None and sha256_file(path) != result.samples_sha256:
        raise UserError(
            f"samples {path} are not those of this result (the hash differs)",
            hint="a paired test needs the samples that were scored; name them, or leave them out",
        )
    return read_samples(path)
