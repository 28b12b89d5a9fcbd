"""The rows of a training run: read from files or datasets by name, and checked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unlearn_bench.data import DATASETS, load
from unlearn_bench.data.pairs import Pair, read_pairs
from unlearn_bench.errors import UserError


def load_rows(specs: Sequence[str], *, data_dir: str | None = None, revision: str | None = None) -> list[Pair]:
    """Read rows from files and datasets.

    Args:
        specs: Each a path to a file, or a dataset and split by name ("tofu:forget10", "nano:forget").
        data_dir: A folder with the datasets, in place of the hub.
        revision: The hub's commit.

    Raises:
        UserError: naming file and line of an invalid row, and for an empty set.
    """
    rows = [row for spec in specs for row in _load_one(spec, data_dir, revision)]
    if not rows:
        raise UserError(f"no rows in {', '.join(specs)}")
    return rows


def _load_one(spec: str, data_dir: str | None, revision: str | None) -> list[Pair]:
    path = Path(spec).expanduser()
    if path.is_file():
        return read_pairs(path)
    name, _, split = spec.partition(":")
    if not split or path.is_dir() or name not in DATASETS.names():
        raise UserError(
            f"{spec}: neither a file nor DATASET:SPLIT",
            hint=f"datasets: {', '.join(DATASETS.names())}; example: nano:forget",
        )
    rows = load(name, split, data_dir=data_dir, revision=revision).rows
    return [Pair(id=row.id, question=row.question, answer=row.answer, raw=not row.question) for row in rows]


def _row(pair: Pair) -> Pair:
    return Pair(
        id=pair.id,
        question=pair.question,
        answer=pair.answer,
        verbatim=pair.verbatim,
        preferred=pair.preferred,
        original=pair.original,
        bare=pair.bare and not pair.verbatim,
        raw=pair.raw,
        augmented=pair.augmented,
        earlier=pair.earlier,
    )


def rows_sha256(rows: Sequence[Pair]) -> str:
    """Hash over the rows themselves, independent of their file."""
    lines = [json.dumps([r.question, r.answer, r.verbatim, r.preferred, r.original, *_rare(r)]) for r in rows]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rare(row: Pair) -> list[object]:
    """Fields that most rows lack; the hash of those rows stays that of version 0.1."""
    return [{"bare": row.bare, "raw": row.raw, "earlier": row.earlier}] if row.bare or row.raw or row.earlier else []


def with_refusals(rows: Sequence[Pair], refusals: Sequence[str], seed: int) -> list[Pair]:
    """Give each row that has no preferred answer one refusal, the same in every epoch and on every process."""

    def choose(row: Pair) -> str:
        digest = hashlib.sha256(f"{seed}\0{row.id}\0{row.question}".encode()).digest()
        return refusals[int.from_bytes(digest[:8], "big") % len(refusals)]

    return [row if row.preferred is not None else replace(row, preferred=choose(row)) for row in rows]


def read_refusals(path: str | None) -> list[str]:
    """Refusals, one a line, from a file or from the package's own list."""
    source = Path(path) if path else Path(__file__).with_name("refusals.txt")
    if not source.is_file():
        raise UserError(f"--refusals {path}: no such file")
    try:
        lines = [line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"--refusals {path}: not UTF-8 (byte {error.start})") from None
    if not lines:
        raise UserError(f"{source.name}: no refusals in it")
    return lines
