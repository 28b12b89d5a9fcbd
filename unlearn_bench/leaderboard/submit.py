"""Put a result on a board: all checks, then one locked, atomic write."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _checks, _samples, _store, _strict_json, _text, _training_record
from unlearn_bench.leaderboard.board import (
    Board,
    Entry,
    PastEntry,
    Training,
    Verification,
    result_digest,
    value_of,
)
from unlearn_bench.leaderboard.ranking import file_order
from unlearn_bench.leaderboard.verify import VerifyReport, verify
from unlearn_bench.schema import Result

MAX_TRAINING = _strict_json.MIB
_MAX_REASONS = 20


@dataclass(frozen=True)
class Claim:
    """What the submitter says beside the result; every text is checked by `checked`."""

    name: str
    submitter: str | None = None
    relationship: str = "unspecified"
    paper: str | None = None
    code: str | None = None
    notes: str | None = None
    training: Training | None = None
    because: str | None = None

    def checked(self) -> "Claim":
        """The same claim in normal form.

        Raises:
            UserError: if a text hides something or an address is not one.
        """
        for flag, text, limit in (
            ("--submitter", self.submitter, _text.MAX_NAME),
            ("--notes", self.notes, _text.MAX_NOTES),
            ("--because", self.because, _text.MAX_NOTES),
        ):
            problem = _text.text_problem(text, limit=limit) if text is not None else None
            if problem:
                raise UserError(f"{flag}: {problem}")
        return Claim(
            name=_text.check_name(self.name),
            submitter=self.submitter,
            relationship=self.relationship,
            paper=None if self.paper is None else _text.check_url(self.paper, "--paper"),
            code=None if self.code is None else _text.check_url(self.code, "--code"),
            notes=self.notes,
            training=self.training,
            because=self.because,
        )


@dataclass(frozen=True)
class Submitted:
    """What `submit` did: the entry, its place in the file, and what the samples said."""

    entry: Entry
    position: int
    entries: int
    replaced: bool
    verification: VerifyReport | None


def read_training(path: Path) -> Training:
    """Read how a checkpoint was made (`--training`): the training.json of `train`, or the fields of `Training`.

    Raises:
        UserError: if the file is neither.
    """
    text = _strict_json.read_text(path, limit=MAX_TRAINING, what="training record")
    try:
        document = _strict_json.parse(text)
        problems = _text.problems_in(document)
        if problems:
            raise _strict_json.Refused(problems[0])
        if _training_record.is_record(document):
            document = _training_record.told(document)
        return Training.model_validate(document, strict=True)
    except _strict_json.Refused as error:
        raise UserError(f"training record {path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"training record {path}: no longer as `train` wrote it ({error!r})") from None
    except ValidationError as error:
        known = ", ".join(Training.model_fields)
        raise UserError(f"training record {path}: {_store.first_error(error)}", hint=f"fields: {known}") from None


def submit(
    result_path: Path,
    leaderboard: Path,
    claim: Claim,
    *,
    samples: Path | None = None,
    keep_samples: bool = False,
    replace: bool = False,
    now: datetime | None = None,
) -> Submitted:
    """Check a result and add it to a board.

    Args:
        result_path: result.json, or the folder that holds it.
        leaderboard: The board's file; must exist.
        claim: Name and texts of the entry.
        samples: samples.jsonl; beside the result if None. Verified whenever it is there.
        keep_samples: Keep a copy of the samples beside the board, under `samples/<sha256>.jsonl.bz2`. A board that
            takes only verified entries keeps them always: what nobody can recompute is not verified.
        replace: Replace the entry of this name, keeping what it said as history.
        now: Time of the submission; the clock's if None.

    Raises:
        UserError: with every reason for the refusal; the board is then unchanged.
    """
    claim = claim.checked()
    result, plain = _store.read_result(result_path)
    problems = _checks.document_problems(result, plain)
    board = _store.read_board(leaderboard)
    problems += _checks.board_problems(result, board)
    _refuse(problems, leaderboard)  # before the samples are read: recomputing is the expensive part
    at = (now or datetime.now(timezone.utc)).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    samples = samples or _samples.beside(result_path)
    report = _verified(result, samples, board)
    entry = _entry(claim, result, report, at)
    if keep_samples and samples is None:
        raise UserError("--keep-samples: no samples.jsonl beside the result", hint="name it with --samples")
    with _store.locked(leaderboard) as path:
        board = _store.read_board(path)
        problems = _checks.board_problems(result, board)
        problems += _checks.duplicate_problems(result, claim.name, board, replace=replace)
        _refuse(problems, leaderboard)
        old = board.entry(claim.name)
        board = _with_entry(board, entry, old, claim.because)
        if keep_samples or board.rules.verified:
            _samples.keep(samples, path.parent, result.samples_sha256)
        _store.write(path, _store.dump_board(board))
    position = next(i for i, e in enumerate(board.entries) if e.name == claim.name)
    return Submitted(board.entries[position], position, len(board.entries), old is not None, report)


def _refuse(problems: list[_checks.Problem], leaderboard: Path) -> None:
    if problems:
        reasons = [str(problem) for problem in problems[:_MAX_REASONS]]
        if len(problems) > _MAX_REASONS:
            reasons.append(f"… and {len(problems) - _MAX_REASONS} more")
        raise UserError(f"not accepted by {leaderboard}", hint="\n  ".join(reasons))


def _verified(result: Result, samples: Path | None, board: Board) -> VerifyReport | None:
    if samples is None:
        if board.rules.verified:
            raise UserError(
                "this board accepts only verified entries, and no samples.jsonl is beside the result",
                hint="name it with --samples",
            )
        return None
    report = verify(result, samples)
    if not report.agrees:
        raise UserError(
            f"the scores do not follow from {samples}", hint="\n  ".join(map(str, report.problems[:_MAX_REASONS]))
        )
    return report


def _entry(claim: Claim, result: Result, report: VerifyReport | None, at: str) -> Entry:
    verification = None
    if report is not None:
        verification = Verification(
            level=report.level,
            samples_sha256=report.samples_sha256,
            rows=report.rows,
            harness=report.harness,
            at=at,
        )
    return Entry(
        name=claim.name,
        submitted=at,
        submitter=claim.submitter,
        relationship=claim.relationship,
        paper=claim.paper,
        code=claim.code,
        notes=claim.notes,
        training=claim.training,
        verification=verification,
        result_sha256=result_digest(result),
        result=result,
    )


def _with_entry(board: Board, entry: Entry, old: Entry | None, because: str | None) -> Board:
    """The board with the entry in its place, and what the first entry pins pinned."""
    if old is not None:
        past = PastEntry(
            submitted=old.submitted,
            replaced=entry.submitted,
            result_sha256=old.result_sha256,
            weights_sha256=old.result.model.weights_sha256,
            values={metric.key: value_of(old.result, metric.key) for metric in board.metrics},
            because=because,
        )
        entry = entry.model_copy(update={"history": [*old.history, past]})
    entries = [e for e in board.entries if e.name != entry.name] + [entry]
    board = board.model_copy(update={"tasks": _pinned(board, entry.result), "entries": entries})
    return board.model_copy(update={"entries": file_order(board)})


def _pinned(board: Board, result: Result) -> Mapping[str, object]:
    tasks = dict(board.tasks)
    for name, rule in board.tasks.items():
        task = result.tasks.get(name)
        if task is None:
            continue
        seen = {
            "version": task.version,
            "n": task.n,
            "dataset_sha256": task.dataset.sha256,
            "scorers": task.scorer.metrics,
            "generation": _checks.generation_rules(task.generation),
        }
        tasks[name] = rule.model_copy(update={k: v for k, v in seen.items() if getattr(rule, k) is None})
    return tasks
