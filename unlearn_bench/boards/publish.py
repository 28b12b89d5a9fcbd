"""Put a row on a board that is scored from a published log: for the board's maintainers. See `published`."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from unlearn_bench.boards import checks, published, store
from unlearn_bench.boards.board import Board, PublishedLog, timestamp
from unlearn_bench.boards.published import Logs
from unlearn_bench.boards.ranking import standing
from unlearn_bench.boards.submit import Claim, Submitted, entry_of, refuse, with_entry
from unlearn_bench.results import result_digest
from unlearn_bench.results.identity import without_corrections
from unlearn_bench.results.plausible import document_problems
from unlearn_bench.schema import Result
from unlearn_bench.untrusted import strings


@dataclass(frozen=True)
class Source:
    """Where a published log comes from; see `board.PublishedLog`."""

    stands_for: Literal["original", "oracle"]
    file: str
    source: str
    revision: str | None = None
    licence: str | None = None
    sha256: str | None = None


def publish(
    path: Path,
    leaderboard: Path,
    claim: Claim,
    source: Source,
    logs: Logs,
    hashes: tuple[str, str],
    *,
    replace: bool = False,
    now: datetime | None = None,
) -> Submitted:
    """Score a published log by the board's rules, and put numbers and hashes on the board.

    Args:
        path: The log.
        leaderboard: The board's file.
        claim: Name and texts of the row.
        source: Where the log comes from.
        logs: How a log is scored.
        hashes: Of the file and of its content (`formats.hashes`).
        replace: Replace the row of this name, which becomes its history.
        now: Time of the submission; the clock's if None.

    Raises:
        UserError: with every reason for the refusal; the board is then unchanged.
    """
    claim = dataclasses.replace(claim.checked(), training=None)  # of the models of others nothing is claimed
    of_file, of_content = hashes
    board = store.read_board(leaderboard)
    log = PublishedLog(
        entry=claim.name,
        result_sha256=of_content,  # until the log is scored
        stands_for=source.stands_for,
        file=source.file,
        source=strings.check_url(source.source, "--source"),
        revision=source.revision,
        licence=source.licence,
        sha256=source.sha256 or of_file,
    )
    result, known = published.scored(path, board, logs, log)
    result = without_corrections(result)
    log = log.model_copy(update={"result_sha256": result_digest(result), "known_rows": known})
    with store.locked(leaderboard) as real:
        board = store.read_board(real)
        refuse(_problems(result, claim, board, of_content, replace=replace), leaderboard)
        old = board.entry(claim.name)
        entry = entry_of(claim, result, None, timestamp(now))
        kept = {key: other for key, other in board.logs.items() if other.entry != claim.name}
        board = with_entry(board, entry, old, claim.because, {"logs": {**kept, of_content: log}})
        store.write(real, store.dump_board(board))
    entry = next(e for e in board.entries if e.name == claim.name)
    return Submitted(entry, standing(board, claim.name), len(board.entries), old is not None, None)


def _problems(result: Result, claim: Claim, board: Board, content: str, *, replace: bool) -> list:
    found = document_problems(result, result.model_dump(mode="json"))
    found += published.board_problems(result, board)
    found += checks.duplicate_problems(result, claim.name, board, replace=replace)
    there = board.logs.get(content)
    if there is not None and there.entry != claim.name:
        found.append(published.Problem("duplicate_log", f"this log is already there, as {there.entry!r}"))
    return found
