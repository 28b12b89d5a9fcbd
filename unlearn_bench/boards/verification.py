"""What `verify` says of a file: a result, or a whole board; as text and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unlearn_bench.boards import store
from unlearn_bench.boards.audit import audit
from unlearn_bench.boards.known_rows import KnownRows
from unlearn_bench.boards.published import Logs, NotVerified
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.boards.verify import paths_of, verify
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.profiles import SETTINGS
from unlearn_bench.results import read_document
from unlearn_bench.results.plausible import Problem, document_problems
from unlearn_bench.untrusted import strict_json
from unlearn_bench.untrusted.escape import line

_SHOWN = 50
# Settings of parts that compute evidence; `ppl_prompt` follows --rules, too.
_OF_EVIDENCE = frozenset(SETTINGS) - {"ppl_prompt", "allow_pickle", "trust_remote_code"}


@dataclass(frozen=True)
class Verified:
    """What does not agree, and what was looked at: counts and levels by name.

    Attributes:
        not_verified: Rows of published logs that are not at hand.
        undecided: Whether such a row is new, or nobody said what the board was before.
    """

    problems: list[Problem]
    summary: dict[str, object]
    not_verified: list[NotVerified] = field(default_factory=list)
    undecided: bool = False

    @property
    def agrees(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> str:
        """All problems, as JSON."""
        found = [{"code": problem.code, "message": problem.message} for problem in self.problems]
        lacking = [
            {"entry": one.entry, "source": one.log.source, "sha256": one.log.sha256} for one in self.not_verified
        ]
        said = {"agrees": self.agrees, **self.summary, **({"not_verified": lacking} if lacking else {})}
        return json.dumps({**said, "problems": found}, indent=1)

    def to_text(self) -> str:
        """The first problems, a line each, and the counts."""
        lines = list(map(str, self.problems[:_SHOWN]))
        lines += [f"… and {len(self.problems) - _SHOWN} more"] if len(self.problems) > _SHOWN else []
        lines += [line(str(one)) for one in self.not_verified]
        said = {key: ", ".join(value) if isinstance(value, list) else value for key, value in self.summary.items()}
        counts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in said.items())
        counts += f", not verified {len(self.not_verified)}" if self.not_verified else ""
        verdict = "agrees" if self.agrees else "does not agree"
        verdict += " as far as it was verified" if self.agrees and self.not_verified else ""
        return "\n".join([*lines, f"{verdict}: {counts}, problems {len(self.problems)}"])


def verify_file(
    target: Path,
    *,
    samples: Path | None = None,
    scoring: Mapping[str, object],
    rescore: bool | None = None,
    against: Path | None = None,
    submitter: str | None = None,
    data_dir: Path | None = None,
    logs: Logs | None = None,
) -> Verified:
    """Verify a result or a board.

    Args:
        target: result.json, its folder, or a board.
        samples: Of a result; beside it if None.
        scoring: Parts and options of a result's scorers, as `score` takes them.
        rescore: Score the responses again; None: a board's, and not a result's.
        against: The board before.
        submitter: Whose changes since `against` these are.
        data_dir: A folder of datasets, for rows that are not known otherwise.
        logs: Published logs, for the rows of a board that were scored from one.

    Raises:
        UserError: if a file cannot be read, or an option does not fit the kind of file.
    """
    if not _is_board(target):
        if against or submitter or logs is not None:
            raise UserError("--against, --submitter and --logs are for a leaderboard, and this is a result")
        _refuse_parts(scoring, rescore=bool(rescore))
        return _result(target, samples, scoring, rescore=bool(rescore), data_dir=data_dir)
    if samples or scoring != {"profile": "offline"}:
        raise UserError(
            "--samples and the scoring options are for one result",
            hint="a board keeps its samples, and its rules say how it is scored",
        )
    if submitter and not against:
        raise UserError("--submitter says whose changes these are: it needs --against OLD")
    report = audit(target, against, rescore=rescore is not False, submitter=submitter, data_dir=data_dir, logs=logs)
    level = "rescored" if report.rescored else "not rescored"
    summary = {"entries": report.entries, "verified": report.verified, "level": level}
    undecided = bool(report.not_verified) and not report.unchanged
    return Verified(report.problems, summary, report.not_verified, undecided)


def _refuse_parts(scoring: Mapping[str, object], *, rescore: bool) -> None:
    """Parts compute evidence, which without `rescore` stays as the samples record it."""
    named = [key for key in scoring if key in _OF_EVIDENCE and (key, scoring[key]) != ("profile", "offline")]
    if named and not rescore:
        flag = {"embedder": "similarity"}.get(named[0], named[0].replace("_", "-"))
        raise UserError(
            f"--{flag} says how evidence is computed, and it is taken from the samples",
            hint="add --rescore, or leave it out",
        )


def _is_board(path: Path) -> bool:
    if path.is_dir():
        return False
    text = strict_json.read_text(path, limit=store.MAX_BOARD, what="result or leaderboard")
    try:
        document = strict_json.parse(text)
    except strict_json.Refused:
        return False  # the reader of results says what is wrong with it
    return isinstance(document, dict) and "benchmark" in document


def _result(
    target: Path, samples: Path | None, scoring: Mapping[str, object], *, rescore: bool, data_dir: Path | None
) -> Verified:
    result, plain = read_document(target)
    options = {key: value for key, value in scoring.items() if key not in SETTINGS}
    recorded = {key: value for task in result.tasks.values() for key, value in task.scorer.options.items()}
    parts = {key: value for key, value in scoring.items() if key in SETTINGS}
    rescorer = Rescorer({**parts, **recorded, **options}) if rescore else None
    report = verify(result, paths_of(target, samples), rescorer, options, known=KnownRows(data_dir=data_dir))
    summary = {"samples": report.rows, "scores": report.scores, "metrics": report.recomputed, "level": report.level}
    if report.unknown_rows:
        summary["dataset_not_at_hand_for"] = list(report.unknown_rows)
    return Verified(document_problems(result, plain) + report.problems, summary)
