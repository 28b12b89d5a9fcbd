"""Put a result on a board: all checks, then one locked, atomic write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.boards import _training_record, by_question_set, checks, kept_samples, store
from unlearn_bench.boards.board import Board, Entry, Training, Verification, past_of, timestamp
from unlearn_bench.boards.known_rows import KnownRows
from unlearn_bench.boards.ranking import file_order, standing
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.boards.verify import VerifyReport, verify_on_board
from unlearn_bench.errors import UserError
from unlearn_bench.results import beside, read_document, result_digest
from unlearn_bench.results.identity import without_corrections
from unlearn_bench.results.plausible import Problem, document_problems
from unlearn_bench.results.reading import first_error
from unlearn_bench.schema import Result
from unlearn_bench.untrusted import naming, strict_json, strings

MAX_TRAINING = strict_json.MIB
_MAX_REASONS = 20


@dataclass(frozen=True)
class Claim:
    """What the submitter states in addition to the result; every text is checked by `checked`."""

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
        owner = None if self.submitter is None else naming.problem(self.submitter)
        if owner:
            raise UserError(f"--submitter {owner}")
        for flag, text, limit in (
            ("--notes", self.notes, strings.MAX_NOTES),
            ("--because", self.because, strings.MAX_NOTES),
        ):
            problem = strings.text_problem(text, limit=limit) if text is not None else None
            if problem:
                raise UserError(f"{flag}: {problem}")
        return Claim(
            name=strings.check_name(self.name),
            submitter=self.submitter,
            relationship=self.relationship,
            paper=None if self.paper is None else strings.check_url(self.paper, "--paper"),
            code=None if self.code is None else strings.check_url(self.code, "--code"),
            notes=self.notes,
            training=self.training,
            because=self.because,
        )


@dataclass(frozen=True)
class Submitted:
    """What `submit` did: the entry, where it stands in words, what the samples said, and what else is to be known."""

    entry: Entry
    standing: str
    entries: int
    replaced: bool
    verification: VerifyReport | None
    notes: list[str] = field(default_factory=list)


def read_training(path: Path) -> Training:
    """Read how a checkpoint was made (`--training`): the training.json of `train`, or the fields of `Training`.

    Raises:
        UserError: if the file is neither.
    """
    text = strict_json.read_text(path, limit=MAX_TRAINING, what="training record")
    try:
        document = strict_json.parse(text)
        problems = strings.problems_in(document)
        if problems:
            raise strict_json.Refused(problems[0])
        if _training_record.is_record(document):
            document = _training_record.told(document)
        return Training.model_validate(document, strict=True)
    except strict_json.Refused as error:
        raise UserError(f"training record {path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"training record {path}: no longer as `train` wrote it ({error!r})") from None
    except ValidationError as error:
        known = ", ".join(Training.model_fields)
        raise UserError(f"training record {path}: {first_error(error)}", hint=f"fields: {known}") from None


def submit(
    result_path: Path,
    leaderboard: Path,
    claim: Claim,
    *,
    samples: Path | None = None,
    keep_samples: bool = False,
    replace: bool = False,
    maintainer: bool = False,
    rescore: bool = True,
    data_dir: Path | None = None,
    now: datetime | None = None,
) -> Submitted:
    """Check a result and add it to a board.

    Args:
        result_path: result.json, or the folder that holds it.
        leaderboard: The board's file; must exist.
        claim: Name and texts of the entry.
        samples: samples.jsonl; by default next to the result. Verified if it exists.
        keep_samples: Keep a copy of the samples in the board's folder, under `samples/<sha256>.jsonl.bz2`. A board that
            takes only verified entries always keeps them, so that anyone can verify again.
        replace: Replace the entry of this name, keeping what it said as history; its submitter must be the claim's.
        maintainer: The board's maintainers replace entries of anybody.
        rescore: Find the evidence again from the responses, with the board's scorers, instead of believing the record.
        data_dir: A folder of datasets, for rows that neither the package nor the board knows.
        now: Time of the submission; the clock's if None.

    Raises:
        UserError: with every reason for the refusal; the board is then unchanged.
    """
    claim = claim.checked()
    result, plain = read_document(result_path)
    problems = document_problems(result, plain)
    board = store.read_board(leaderboard)
    result = without_corrections(by_question_set.fitted(result, board))  # a board shows what it can recompute
    problems += _place_problems(result, claim, board, replace=replace, maintainer=maintainer)
    refuse(problems, leaderboard)  # before the samples are read: recomputing is the expensive part
    at = timestamp(now)
    samples = samples or beside(result_path)
    report = _verified(result, samples, board, rescore=rescore, data_dir=data_dir)
    entry = entry_of(claim, result, report, at)
    if keep_samples and samples is None:
        raise UserError("--keep-samples: no samples.jsonl next to the result", hint="name it with --samples")
    with store.locked(leaderboard) as path:
        board = store.read_board(path)
        refuse(_place_problems(result, claim, board, replace=replace, maintainer=maintainer), leaderboard)
        old = board.entry(claim.name)
        board = with_entry(board, entry, old, claim.because, {"tasks": _pinned(board, result)})
        if keep_samples or board.rules.verified:
            kept_samples.keep(samples, path.parent, result.samples_sha256)
        store.write(path, store.dump_board(board))
    entry = next(e for e in board.entries if e.name == claim.name)
    notes = by_question_set.notes(board)
    return Submitted(entry, standing(board, claim.name), len(board.entries), old is not None, report, notes)


def _place_problems(result: Result, claim: Claim, board: Board, *, replace: bool, maintainer: bool) -> list[Problem]:
    """Why the board as it is now has no place for this entry."""
    problems = checks.board_problems(result, board)
    problems += checks.duplicate_problems(result, claim.name, board, replace=replace)
    old = board.entry(claim.name)
    denied = old and replace and checks.owner_problem(old, claim.submitter, maintainer=maintainer)
    return [*problems, *([denied] if denied else [])]


def refuse(problems: list[Problem], leaderboard: Path) -> None:
    """Name the first problems, if there are any.

    Raises:
        UserError: with a reason for each.
    """
    if problems:
        reasons = [str(problem) for problem in problems[:_MAX_REASONS]]
        if len(problems) > _MAX_REASONS:
            reasons.append(f"… and {len(problems) - _MAX_REASONS} more")
        raise UserError(f"not accepted by {leaderboard}", hint="\n  ".join(reasons))


def _verified(
    result: Result, samples: Path | None, board: Board, *, rescore: bool, data_dir: Path | None
) -> VerifyReport | None:
    """What verification found; None where it is impossible: no samples, or unknown rows."""
    if samples is None:
        if board.rules.verified:
            raise UserError(
                "this board accepts only verified entries, and no samples.jsonl is next to the result",
                hint="name it with --samples",
            )
        return None
    scorer = Rescorer(board.rules.scoring) if rescore else None
    report = verify_on_board(result, samples, board, scorer, KnownRows(board, data_dir))
    if not report.agrees:
        raise UserError(
            f"{samples} does not bear out the result", hint="\n  ".join(map(str, report.problems[:_MAX_REASONS]))
        )
    unknown = [name for name in report.unknown_rows if name in board.tasks]
    if unknown and board.rules.verified:
        raise UserError(
            f"this board accepts only verified entries, and the rows of {', '.join(unknown)} are not known here, "
            "so it cannot be checked whether its questions were asked",
            hint="a maintainer pins them: unlearn-bench pin BOARD --data-dir DIR",
        )
    return None if unknown else report


def entry_of(claim: Claim, result: Result, report: VerifyReport | None, at: str) -> Entry:
    """What is claimed of a result, as a row without history; `report` is what verification found."""
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


def with_entry(board: Board, entry: Entry, old: Entry | None, because: str | None, pins: Mapping[str, object]) -> Board:
    """The board with the entry in its place, and what it pins; what an old entry said becomes history."""
    if old is not None:
        past = past_of(old, board, replaced=entry.submitted, because=because)
        entry = entry.model_copy(update={"history": [*old.history, past]})
    entries = [e for e in board.entries if e.name != entry.name] + [entry]
    board = board.model_copy(update={**pins, "entries": entries})
    return board.model_copy(update={"entries": file_order(board)})


def _pinned(board: Board, result: Result) -> Mapping[str, object]:
    tasks = dict(board.tasks)
    for name, rule in board.tasks.items():
        task = result.tasks.get(name)
        if task is None:
            continue
        seen = checks.pinned_by(task)
        tasks[name] = rule.model_copy(update={k: v for k, v in seen.items() if getattr(rule, k) is None})
    return tasks
