"""What a format's reader hands out, and the checks that readers share."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from unlearn_bench.errors import UserError
from unlearn_bench.formats._json import clean
from unlearn_bench.schema import Response, Role

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass
class Readings:
    """Answers ready to be scored, and one line ("file:line: what is wrong") for each row that cannot be read.

    Attributes:
        dataset: Name of the benchmark, or of the file where it does not say.
        notes: What the reader of the result should know.
        reported: Numbers that the file gives without the answers behind them, by its name.
    """

    dataset: str
    responses: list[Response] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reported: dict[str, dict[str, float]] = field(default_factory=dict)


class Malformed(ValueError):
    """A row that is not an answer; the message says why."""


def text_of(row: Mapping[str, object], key: str) -> str:
    """A text of a row; may be empty.

    Raises:
        Malformed: if it is missing or not text.
    """
    if key not in row:
        raise Malformed(f"no {key!r}")
    if not isinstance(row[key], str):
        raise Malformed(f"{key!r} must be text, got {row[key]!r:.60}")
    return clean(row[key])


def full_text(row: Mapping[str, object], key: str) -> str:
    """A text of a row with something visible in it.

    Raises:
        Malformed: if it is missing, not text, or empty.
    """
    text = text_of(row, key)
    if not text.strip():
        raise Malformed(f"{key!r} is empty")
    return text


def optional_text(row: Mapping[str, object], key: str) -> str | None:
    """A text of a row; None where it is missing, null or empty.

    Raises:
        Malformed: if it is something else than text.
    """
    if row.get(key) is None:
        return None
    return text_of(row, key).strip() or None


def finite(value: object) -> float | None:
    """A finite number; None for what is none.

    >>> finite(2), finite(True), finite("2"), finite(float("nan"))
    (2.0, None, None, None)
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def known_role(value: object) -> Role:
    """A role by name.

    Raises:
        Malformed: for an unknown role.
    """
    if value not in ROLES:
        raise Malformed(f"role {value!r:.60} is none of {', '.join(ROLES)}")
    return value


_ROLE_PREFIXES: dict[str, Role] = {
    "forget": "forget",
    "retain": "retain",
    "holdout": "holdout",
    "neighb": "neighbour",
    "real_author": "neighbour",
    "world": "world",
    "fluency": "fluency",
}


def role_of(value: object) -> Role | None:
    """The role that a split's name says (forget10: forget); None where it says none ("test").

    >>> role_of("forget10_perturbed"), role_of("world_facts"), role_of("test")
    ('forget', 'world', None)
    """
    name = str(value).strip().lower()
    return next((role for prefix, role in _ROLE_PREFIXES.items() if name.startswith(prefix)), None)


def need_role(path: Path, role: Role | None) -> Role:
    """The role given on the command line, for a file that names none.

    Raises:
        UserError: if none was given.
    """
    if role is None:
        raise UserError(
            f"{path} does not say which role its answers belong to",
            hint='"role": "forget" (what should be forgotten) or "retain" (what should be kept) in each row says it, '
            "and `score --role forget` for all rows",
        )
    return role


_ENDING = re.compile(r"(\.(jsonl?|ndjson|csv|tsv|txt|parquet|pq))?(\.(gz|bz2|xz|zst))?$", re.IGNORECASE)


def file_stem(path: Path) -> str:
    """A file's name without the endings of its kind; other dots stay."""
    return _ENDING.sub("", path.name)


def file_task(path: Path, role: Role) -> str:
    """A task's name made of a file's: "answers.jsonl" of the retain role is "answers_retain".

    Endings of file kinds go, other dots stay: two models that differ in a version number have two names.

    >>> file_task(Path("my answers.jsonl"), "retain"), file_task(Path("npo_forget.json.gz"), "forget")
    ('my_answers_retain', 'npo_forget')
    >>> file_task(Path("Llama-3.2-1B_npo.csv"), "forget"), file_task(Path("Llama-3.1-8B"), "forget")
    ('Llama-3.2-1B_npo_forget', 'Llama-3.1-8B_forget')
    """
    stem = re.sub(r"[^\w.-]+", "_", file_stem(path)).strip("_.") or "answers"
    return stem if stem.lower().endswith(role) else f"{stem}_{role}"
