"""Read result.json and samples.jsonl: strictly, with limits, as files that anybody may have written.

Samples may be packed (bzip2, as boards keep them). Limits and hashes are of the text; how far a packed file may unpack
is limited by its size, so that a small file is refused after a small text.
"""

import bz2
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.results.document import RESULT_FILE, SAMPLES_FILE
from unlearn_bench.schema import Result, Sample
from unlearn_bench.untrusted import strict_json
from unlearn_bench.untrusted.strings import shown

MAX_RESULT = 4 * strict_json.MIB
MAX_FILE = 128 * strict_json.MIB
MAX_RATIO = 100  # of unpacked to packed; samples of a run unpack to 10 to 25 times their size
FREE = 4 * strict_json.MIB  # that a packed file of any size may unpack to
MAX_LINE = 2 * strict_json.MIB
MAX_ROWS = 1_000_000
PACKED = ".bz2"
_Document = TypeVar("_Document", bound=BaseModel)
_BROKEN = "restore the file, or remove it and make it again with `unlearn-bench run` or `score`"
_MISSING = "`unlearn-bench run` or `score` with --output writes it"


def read_result(path: Path) -> Result:
    """Read a result.json, or the folder that holds it; see `read_document`."""
    return read_document(path)[0]


def read_document(path: Path) -> tuple[Result, object]:
    """Read a result.json, or the folder that holds it: the validated result, and its plain JSON.

    Raises:
        UserError: if it is missing, too big, not strict JSON, or not a result of this schema.
    """
    path = path / RESULT_FILE if path.is_dir() else path
    text = strict_json.read_text(path, limit=MAX_RESULT, what="result", hint=_MISSING)
    try:
        plain = strict_json.parse(text)
        _refuse_other_version(path, plain)
        return Result.model_validate_json(text, strict=True), plain
    except strict_json.Refused as error:
        raise UserError(f"result {path}: {error}", hint=_BROKEN) from None
    except ValidationError as error:
        raise UserError(f"result {path} does not follow the schema: {first_error(error)}", hint=_BROKEN) from None


def _refuse_other_version(path: Path, plain: object) -> None:
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    expected = Result.model_fields["schema_version"].default
    if version != expected:
        raise UserError(
            f"result {path}: expected schema_version {expected!r}, got {str(version)[:40]!r}",
            hint="write it with `unlearn-bench run` or `unlearn-bench score` of this version",
        )


def validated(
    model: type[_Document], text: str | bytes, *, where: str, otherwise: str, hint: str | None = None
) -> _Document:
    """A document that anybody may have written: strict JSON that follows a schema.

    Args:
        model: What it should be.
        text: The document; bytes are UTF-8.
        where: What is read, as messages begin: "leaderboard board.json", "samples.jsonl:3".
        otherwise: How the message goes on where the schema is not followed: " is not a board".
        hint: What to do with one that cannot be read.

    Raises:
        UserError: if it is not UTF-8, not strict JSON, or does not follow the schema.
    """
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        strict_json.parse(plain)
        return model.model_validate_json(plain, strict=True)
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8", hint=hint) from None
    except strict_json.Refused as error:
        raise UserError(f"{where}: {error}", hint=hint) from None
    except ValidationError as error:
        raise UserError(f"{where}{otherwise}: {first_error(error)}", hint=hint) from None


def first_error(error: ValidationError) -> str:
    """The first error of a validation in one line, and how many more there are; never the offending input."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part)[:80] for part in errors[0]["loc"][:8])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return shown(f"{where or 'document'}: {errors[0]['msg'].removeprefix('Value error, ')[:200]}{more}")


def beside(result_path: Path) -> Path | None:
    """The samples.jsonl that `run` or `score` wrote next to a result, or None."""
    folder = result_path if result_path.is_dir() else result_path.parent
    path = folder / SAMPLES_FILE
    return path if path.is_file() else None


def samples_file_sha256(path: Path) -> str:
    """Hash of the samples' text; see `_opened` for what is refused."""
    digest, most = hashlib.sha256(), most_bytes(path)
    with _opened(path) as file:
        size = 0
        while chunk := file.read(strict_json.MIB):
            size += len(chunk)
            if size > most:
                raise _too_large(path, most)
            digest.update(chunk)
    return digest.hexdigest()


def samples_text(path: Path) -> bytes:
    """The whole text of a file of samples, unpacked where it is packed."""
    with _opened(path) as file:
        return file.read(most_bytes(path))


def most_bytes(path: Path) -> int:
    """How many bytes of text a file of samples may hold."""
    size = path.stat().st_size if path.is_file() else 0
    return min(MAX_FILE, max(FREE, MAX_RATIO * size)) if path.suffix == PACKED else MAX_FILE


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | bz2.BZ2File]:
    """The samples' text as bytes, unpacked where it is packed.

    Raises:
        UserError: if it is not a regular file (a pipe would block forever), or cannot be unpacked.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UserError(f"samples {shown(str(path))} {what}", hint=_MISSING)
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
    limit = f"{most / strict_json.MIB:.3g} MiB"
    return UserError(f"samples {shown(str(path))}{packed} is larger than the limit of {limit}")


def read_samples(path: Path) -> list[Sample]:
    """Every sample of a samples.jsonl, or of the one in a folder.

    Raises:
        UserError: naming the line, if one is not a sample; or if the file is over a limit.
    """
    return list(iterate_samples(path / SAMPLES_FILE if path.is_dir() else path))


def iterate_samples(path: Path, most: int = MAX_ROWS) -> Iterator[Sample]:
    """The samples of a file, one at a time; see `read_samples`. More than `most`, and one more, are not read."""
    size, limit = 0, most_bytes(path)
    with _opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
            size += len(line)
            if size > limit:
                raise _too_large(path, limit)
            if len(line) > MAX_LINE:
                raise UserError(f"{path}:{number}: a line longer than {MAX_LINE // strict_json.MIB} MiB")
            if number > MAX_ROWS:
                raise UserError(f"samples {path} holds more than {MAX_ROWS:,} rows")
            if number > most + 1:  # one too many is enough to see that the number is wrong
                return
            yield validated(Sample, line, where=f"{path}:{number}", otherwise=": not a sample", hint=_BROKEN)


def matching_samples(result: Result, path: Path) -> list[Sample]:
    """The samples of a file, made sure to be the result's own.

    Raises:
        UserError: if the result names other samples.
    """
    if result.samples_sha256 is not None and samples_file_sha256(path) != result.samples_sha256:
        raise UserError(
            f"samples {path} are not those of this result (the hash differs)",
            hint="a paired test needs the samples that were scored; name them, or leave them out",
        )
    return read_samples(path)
