"""Files of generations made elsewhere. A file here with `detect` and `read` is a format; the file's name is its key.

    detect(path, head) -> bool          whether the first `HEAD` characters look like this format
    read(path, text, role) -> Readings answers ready to be scored, and what was wrong with the rows that are none

Readers hand out all that was generated; what the answer in it is, `answer` says.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _source
from unlearn_bench.formats._fields import parse_map
from unlearn_bench.formats._readings import Readings
from unlearn_bench.hashing import sha256_text
from unlearn_bench.registry import Registry
from unlearn_bench.schema import Role

FORMATS = Registry(kind="format", package="unlearn_bench.formats", attribute="read")
HEAD = 1 << 20  # the keys that identify a format may follow a long first answer
MAPPED = ("csv", "table")  # formats whose rows may have any keys
COUNTED = ("lm_eval_samples",)  # formats that may hold likelihoods of texts without the number of their tokens
GENERAL = "table"  # rows of any program; the other formats are rows too, or look like it

__all__ = ["FORMATS", "Readings", "hashes", "parse_map", "read"]


def read(
    path: Path,
    *,
    form: str = "auto",
    role: Role | None = None,
    mapping: Mapping[str, str] | None = None,
    count: Callable[[str, str], int] | None = None,
) -> Readings:
    """Read a file of generations.

    Args:
        path: The file.
        form: A format's name, or "auto": decided by how the file begins.
        role: For files that do not say which role their answers belong to; of files that do, only this role is read.
        mapping: Field (question, reference, response, id, role, cluster) to the key that holds it, for rows of any
            program (formats `table` and `csv`).
        count: Prompt and continuation to the number of the continuation's tokens, for `COUNTED` formats.

    Raises:
        UserError: if the file cannot be read at all, or a role is needed and not given.
    """
    if mapping and form not in ("auto", *MAPPED):
        raise UserError(
            f"--map is for rows of any program, and {form} has keys of its own", hint="leave one of them out"
        )
    text = _source.read_text(path)
    name = detect(path, text[:HEAD]) if form == "auto" and not mapping else form
    if mapping and form == "auto":
        name = GENERAL if text.lstrip()[:1] in ("[", "{") else "csv"
    arguments: dict[str, object] = {"mapping": mapping} if mapping else {}
    arguments |= {"count": count} if count is not None and name in COUNTED else {}
    readings = FORMATS.module(name).read(path, text, role, **arguments)
    if not readings.responses and not readings.errors and not readings.reported:
        wanted = f", or none of role {role}" if role else ""
        raise UserError(f"{path}: no answers in it{wanted} (read as {name})")
    return readings


def detect(path: Path, head: str) -> str:
    """Name of the format that a file's beginning looks like.

    Raises:
        UserError: if it looks like none, or like several.
    """
    matches = [name for name in FORMATS.names() if FORMATS.module(name).detect(path, head)]
    special = [name for name in matches if name != GENERAL] or matches
    if len(special) == 1:
        return special[0]
    if special:
        names = ",".join(FORMATS.names())
        raise UserError(f"{path}: could be {' or '.join(special)}", hint=f"say which with --input-format {{{names}}}")
    raise UserError(
        f"{path}: format not recognised; it begins with {head.strip()[:40]!r}",
        hint="expected JSON (an array, lines, or an object that holds rows), CSV with a heading, or Parquet, with the "
        "keys question, reference and response (others: --map)",
    )


def hashes(path: Path) -> tuple[str, str | None]:
    """Two hashes of a log: of its bytes, unpacked, and of its content as canonical JSON (None where it is no JSON).

    A log that was packed, indented or sorted otherwise than its source has the same content.

    Raises:
        UserError: if the file cannot be read.
    """
    text = _source.read_text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return sha256_text(text), None
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # logs hold NaN
    return sha256_text(text), sha256_text(plain)
