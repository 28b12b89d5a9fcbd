"""Is a board what its rules say, and its entries what their samples say?

For the CI of a leaderboard repository: every entry is checked as if it were submitted again, with its kept samples, the
dataset's rows and the board's scorers. What a verification block says is found again, never believed. `_changes` says
what a pull request changed that it may not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from unlearn_bench.boards import _changes, checks, kept_samples, published, store
from unlearn_bench.boards.board import TIME_FORMAT, Board, Entry, Verification
from unlearn_bench.boards.known_rows import KnownRows
from unlearn_bench.boards.published import Logs, NotVerified
from unlearn_bench.boards.ranking import file_order
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.boards.verify import VerifyReport, verify_on_board
from unlearn_bench.results import result_digest
from unlearn_bench.results.plausible import Problem, document_problems
from unlearn_bench.untrusted import naming


@dataclass(frozen=True)
class AuditReport:
    """What `audit` found.

    Attributes:
        verified: Entries whose kept samples ask the dataset's rows and bear out the numbers, and rows whose published
            log was scored again and gives the same.
        rescored: Whether their evidence was found again from the responses.
        not_verified: Rows of published logs that are not at hand.
        unchanged: Whether each of those rows, and what the board pins of its log, is as it was before.
    """

    problems: list[Problem]
    entries: int
    verified: int
    rescored: bool
    not_verified: list[NotVerified] = field(default_factory=list)
    unchanged: bool = False


def audit(
    path: Path,
    against: Path | None = None,
    *,
    rescore: bool = True,
    submitter: str | None = None,
    data_dir: Path | None = None,
    logs: Logs | None = None,
) -> AuditReport:
    """Check a whole board, and what changed since `against`.

    Args:
        path: The board.
        against: The version before; None checks no changes.
        rescore: Find the evidence again from the responses, instead of believing the record.
        submitter: Who made the change: may replace entries of this submitter. None: may only add.
        data_dir: A folder of datasets, for rows that neither the package nor the board knows.
        logs: Published logs, for the rows that were scored from one.

    Raises:
        UserError: if a file cannot be read as a board.
    """
    board = store.read_board(path)
    problems = list(_file_problems(path, board))
    rescorer, known = Rescorer(board.rules.scoring) if rescore else None, KnownRows(board, data_dir)
    at_hand = logs.find(board.logs) if logs is not None else {}
    verified, not_verified = 0, []
    for entry in board.entries:
        found = list(_entry_problems(entry, board))
        log, samples = board.published(entry), kept_samples.kept(path, entry.result.samples_sha256)
        if log is not None and board.content(log) not in at_hand:
            not_verified.append(NotVerified(entry.name, log))
        elif log is not None:
            about = list(published.problems(entry, log, at_hand[board.content(log)], board, logs))
            found += about
            verified += not about
        elif samples is not None:
            report = verify_on_board(entry.result, samples, board, rescorer, known)
            about = list(_report_problems(entry, report, board))
            found += about
            verified += not about and not _unknown(report, board)
        elif board.rules.verified:
            found.append(
                Problem("no_samples", "its samples are not kept next to the board, so its numbers cannot be checked")
            )
        elif entry.verification is not None:
            found.append(Problem("verification", "it says that it is verified, and its samples are not kept"))
        problems += [Problem(code, f"{entry.name}: {message}") for code, message in found]
    unchanged = False
    if against is not None:
        old = store.read_board(against)
        problems += _changes.problems(old, board, submitter)
        unchanged = old.logs == board.logs and all(old.entry(n.entry) == board.entry(n.entry) for n in not_verified)
    return AuditReport(problems, len(board.entries), verified, rescore, not_verified, unchanged)


def _file_problems(path: Path, board: Board) -> Iterator[Problem]:
    if path.read_text(encoding="utf-8") != store.dump_board(board):
        yield Problem("format", "the file is not in the stable format; it was not written by `submit`")
    if [e.name for e in board.entries] != [e.name for e in file_order(board)]:
        yield Problem("order", f"the entries are not in the order that the board declares ({board.rules.sort})")
    seen: list[Entry] = []
    for entry in board.entries:
        before = board.model_copy(update={"entries": seen})
        yield from checks.duplicate_problems(entry.result, entry.name, before)
        seen.append(entry)
    for log in board.logs.values():
        entry = board.entry(log.entry)
        if entry is None or entry.result_sha256 != log.result_sha256:
            yield Problem("log", f"{log.entry}: the result is not the one that the board pins of its published log")


def _entry_problems(entry: Entry, board: Board) -> Iterator[Problem]:
    for what, text in (("name", entry.name), ("submitter", entry.submitter)):
        problem = None if text is None else naming.problem(text)
        if problem:
            yield Problem(what, f"the {what} {problem}")
    if not _is_past(entry.submitted):
        yield Problem("date", f"submitted at {entry.submitted}, which is not a past date")
    if entry.result_sha256 != result_digest(entry.result):
        yield Problem("result_hash", "the result is not the one that was submitted")
    plain = entry.model_dump(mode="json")
    yield from document_problems(entry.result, plain)
    if board.published(entry) is not None:
        yield from published.board_problems(entry.result, board)
        if entry.verification is not None:
            yield Problem("verification", "it says that it is verified, and the answers of a log are not kept")
        return
    yield from checks.board_problems(entry.result, board)
    if entry.verification is None and board.rules.verified:
        yield Problem("unverified", "this board accepts only verified entries")


def _is_past(time: str) -> bool:
    """Whether a time exists and has come, with a day for clocks that go wrong."""
    try:
        at = datetime.strptime(time, TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return False
    return at < datetime.now(timezone.utc) + timedelta(days=1)


def _report_problems(entry: Entry, report: VerifyReport, board: Board) -> Iterator[Problem]:
    """What the samples contradict, and what the entry's verification block claims without them."""
    yield from report.problems
    unknown = _unknown(report, board)
    if unknown and (board.rules.verified or entry.verification is not None):
        yield Problem("unknown_rows", f"the rows of {', '.join(unknown)} are not known here: `unlearn-bench pin`")
    if entry.verification is not None:
        yield from _block_problems(entry.verification, entry, report)


def _block_problems(block: Verification, entry: Entry, report: VerifyReport) -> Iterator[Problem]:
    for what, said, found in (
        ("rows", block.rows, report.rows),
        ("samples_sha256", block.samples_sha256, report.samples_sha256),
    ):
        if said != found:
            yield Problem("verification", f"its verification says {what} {said}, and found again is {found}")
    if block.at < entry.submitted:
        yield Problem("verification", f"verified at {block.at}, before it was submitted")


def _unknown(report: VerifyReport, board: Board) -> list[str]:
    return [name for name in report.unknown_rows if name in board.tasks]
