"""Is a board still what its rules say, and only longer than it was?

For the CI of a leaderboard repository: every entry is checked as if it were submitted again, kept samples are verified,
and, against the version before, nothing was removed, nothing was rewritten without history, and no pin was moved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench.leaderboard import _checks, _samples, _store, _text
from unlearn_bench.leaderboard._checks import Problem
from unlearn_bench.leaderboard.board import Board, Entry, result_digest
from unlearn_bench.leaderboard.ranking import file_order
from unlearn_bench.leaderboard.verify import verify


@dataclass(frozen=True)
class AuditReport:
    """What `audit` found; `verified` counts the entries whose kept samples were recomputed."""

    problems: list[Problem]
    entries: int
    verified: int


def audit(path: Path, against: Path | None = None) -> AuditReport:
    """Check a whole board, and that it only grew since `against`.

    Raises:
        UserError: if a file cannot be read as a board.
    """
    board = _store.read_board(path)
    problems = list(_file_problems(path, board))
    verified = 0
    for entry in board.entries:
        found = list(_entry_problems(entry, board))
        samples = _samples.kept(path, entry.result.samples_sha256)
        if samples is not None:
            found += verify(entry.result, samples).problems
            verified += 1
        elif board.rules.verified:
            found.append(
                Problem("no_samples", "its samples are not kept beside the board, so its numbers cannot be checked")
            )
        problems += [Problem(code, f"{entry.name}: {message}") for code, message in found]
    if against is not None:
        problems += _changes(_store.read_board(against), board)
    return AuditReport(problems, len(board.entries), verified)


def _file_problems(path: Path, board: Board) -> Iterator[Problem]:
    if path.read_text(encoding="utf-8") != _store.dump_board(board):
        yield Problem("format", "the file is not in the stable format; it was not written by `submit`")
    if [e.name for e in board.entries] != [e.name for e in file_order(board)]:
        yield Problem("order", f"the entries are not in the order that the board declares ({board.rules.sort})")
    seen: dict[str, str] = {}
    for entry in board.entries:
        key = _text.name_key(entry.name)
        if key in seen:
            yield Problem("duplicate_name", f"{entry.name!r} reads like {seen[key]!r}")
        seen[key] = entry.name


def _entry_problems(entry: Entry, board: Board) -> Iterator[Problem]:
    if entry.result_sha256 != result_digest(entry.result):
        yield Problem("result_hash", "the result is not the one that was submitted")
    plain = entry.model_dump(mode="json")
    yield from _checks.document_problems(entry.result, plain)
    yield from _checks.board_problems(entry.result, board)
    if entry.verification is None:
        if board.rules.verified:
            yield Problem("unverified", "this board accepts only verified entries")
    elif entry.verification.samples_sha256 != entry.result.samples_sha256:
        yield Problem("samples_hash", "the verified samples are not those of the result")


def _changes(old: Board, new: Board) -> Iterator[Problem]:
    """Where `new` is not `old` with something added."""
    for name, rule in old.tasks.items():
        now = new.tasks.get(name)
        for field, value in rule.model_dump().items():
            if value is not None and (now is None or getattr(now, field) != value):
                yield Problem("pin_moved", f"task {name}: {field} was {value}")
    for entry in old.entries:
        now = new.entry(entry.name)
        if now is None:
            yield Problem("removed", f"{entry.name!r} was removed; entries stay, replaced ones as history")
        elif now.history[: len(entry.history)] != entry.history:
            yield Problem("history", f"{entry.name!r}: its history was rewritten")
        elif now.result_sha256 != entry.result_sha256:
            past = [p.result_sha256 for p in now.history[len(entry.history) :]]
            if entry.result_sha256 not in past:
                yield Problem("history", f"{entry.name!r} was replaced, and its history does not say so")
