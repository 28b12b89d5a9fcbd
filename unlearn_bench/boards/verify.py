"""Do the numbers of a result follow from its samples?

Six questions, each with named answers: are these the samples that the result names; do they ask the rows of the
dataset that it names (`_row_checks`); is each response the answer in what was generated (`_readings`); does every
per-sample score follow from the evidence in its own record (coverage, inference, agreement, perplexity, …); do the
aggregates and intervals follow from those scores; and, with `rescore`, does the evidence follow from
the responses.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from unlearn_bench import __version__
from unlearn_bench.boards import _readings, _row_checks
from unlearn_bench.boards._row_checks import shortened
from unlearn_bench.boards.board import Board
from unlearn_bench.boards.known_rows import KnownRows
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.gather import JUDGES
from unlearn_bench.evidence.pipeline import aggregate
from unlearn_bench.evidence.records import TOLERANCE, differences, scorers_of, scores_again, settings_of
from unlearn_bench.results import (
    beside,
    iterate_samples,
    result_fingerprint,
    samples_by_task,
    samples_file_sha256,
    takers,
)
from unlearn_bench.results.plausible import Problem
from unlearn_bench.schema import MetricValue, Response, Result, Sample, ScorerInfo, TaskResult
from unlearn_bench.scorers import SCORERS
from unlearn_bench.summaries.aggregate import again
from unlearn_bench.summaries.aggregate import metrics as summary_metrics

CI_TOLERANCE = 1e-6  # a seeded bootstrap is exact on one version of numpy, and nearly so on the next
RESCORE_TOLERANCE = 1e-4  # models in float32 agree to about this between machines and batch sizes
_RESPONSE_FIELDS = set(Response.model_fields) - {"given"}
_EVIDENCE = ("coverage", "nli_label", "agreement", "perplexity", "mean_logprob")


class Rescore(Protocol):
    """Scores responses again, with given options; see `rescorer.Rescorer`."""

    options: Mapping[str, object]

    def __call__(self, responses: Sequence[Response], scorers: Sequence[str]) -> Sequence[Sample]: ...

    def scorer(self, task: TaskResult) -> ScorerInfo: ...


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        problems: Everything that does not agree; empty means that the result follows from its samples.
        recomputed: Metrics whose value, counts and interval were computed again.
        scores: Per-sample scores that were computed again.
        missing: Questions that have no answer.
        unknown_rows: Tasks whose dataset is not available, so that it cannot be checked whether its rows were asked.
    """

    problems: list[Problem]
    rows: int
    samples_sha256: str
    recomputed: int
    scores: int
    level: str = "records"
    harness: str = __version__
    unknown_rows: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every number follows from the samples."""
        return not self.problems


def verify(
    result: Result,
    samples_path: Path,
    rescore: Rescore | None = None,
    options: Mapping[str, object] | None = None,
    *,
    known: KnownRows | None = None,
    settings: Mapping[str, object] | None = None,
) -> VerifyReport:
    """Recompute a result from its samples.

    Args:
        result: What is claimed.
        samples_path: The samples.jsonl that the claim rests on.
        rescore: Scores raw responses afresh; None stops at the evidence that the samples record.
        options: Scorer options that the result does not record (kfr_rule, …).
        known: Where the dataset's rows are looked up; embedded ones if None.
        settings: The options that every result must have been scored with (a board's); None takes the result's word.

    Raises:
        UserError: if the samples cannot be read.
    """
    digest = samples_file_sha256(samples_path)
    problems = list(_identity_problems(result, digest))
    samples = list(iterate_samples(samples_path, most=sum(task.n for task in result.tasks.values())))
    by_task = samples_by_task(result, samples)
    for name in sorted({sample.task for sample in samples} - takers(result).keys()):
        problems.append(Problem("unknown_task", f"samples of {name[:80]!r}, which no task of the result takes"))
    again = {} if rescore is None else _scored_again(result, samples, rescore)
    known, unknown = known or KnownRows(), []
    for name, task in result.tasks.items():
        own = by_task[name]
        found = list(_row_checks.problems(task, own))
        found += shortened(_readings.problems(result, task, own))
        rows = _row_checks.dataset_problems(name, result, by_task, known)
        unknown += [name] if rows is None else []
        found += rows or []
        if own:
            effective = {**task.scorer.options, **(options or {})} if settings is None else settings
            if rescore is None:
                found += shortened(_score_problems(task, own, effective))
            else:  # what the responses give is compared with the record, evidence and scores alike
                found += shortened(_rescore_problems(task, own, rescore, again))
                judged = _verdicts_not_at_hand(rescore.scorer(task))
                found += shortened(_score_problems(task, own, effective, only=judged))
            found += _metric_problems(task, own, effective)
        if settings is not None:
            found += _option_problems(task, settings)
        problems += [Problem(code, f"task {name}: {message}") for code, message in found]
    return VerifyReport(
        problems,
        len(samples),
        digest,
        sum(len(task.metrics) for task in result.tasks.values()),
        sum(len(sample.scores) for sample in samples),
        "records" if rescore is None else "rescored",
        unknown_rows=unknown,
        missing=[f"{s.task} {s.id[:60]}" for s in samples if s.lost],
    )


def verify_on_board(
    result: Result, samples_path: Path, board: Board, rescore: Rescore | None, known: KnownRows
) -> VerifyReport:
    """Verify a result for a board: its scoring options count, not those that the result records."""
    from unlearn_bench.evidence.profiles import SETTINGS

    options = {key: value for key, value in board.rules.scoring.items() if key not in SETTINGS}
    report = verify(result, samples_path, rescore, known=known, settings=options)
    if report.missing:
        found = f"{len(report.missing)} questions have no answer, the first {report.missing[0]}: run them again"
        report.problems.append(Problem("missing_answer", found))
    return report


def _identity_problems(result: Result, digest: str) -> Iterator[Problem]:
    if result.samples_sha256 is None:
        yield Problem("samples_hash", "the result names no samples (samples_sha256 is missing)")
    elif digest != result.samples_sha256:
        yield Problem("samples_hash", "the samples are not those that the result names")
    if result.fingerprint != result_fingerprint(result.model, result.tasks, result.run):
        yield Problem("fingerprint", "the fingerprint is not that of the result's model, tasks and settings")


def _option_problems(task: TaskResult, settings: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that a result says it was scored with, and that are not the board's."""
    expected = settings_of(settings)
    for key, value in task.scorer.options.items():
        if key not in expected or expected[key] != value:
            yield (
                "options",
                f"scored with {key[:40]} {value!r:.40}; the board has {expected.get(key, 'no such option')!r:.40}",
            )


def _score_problems(
    task: TaskResult, samples: Sequence[Sample], options: Mapping[str, object], only: Collection[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Per-sample scores that do not follow from the evidence of the sample, of all scorers or of some."""
    scorers = [SCORERS.get(name) for name in scorers_of(task) if only is None or name in only]
    settings = settings_of(options)
    for sample in samples:
        for message in differences(sample, scores_again(sample, scorers, settings)):
            yield "score", f"sample {sample.id[:60]}: {message}"


def _metric_problems(
    task: TaskResult, samples: Sequence[Sample], options: Mapping[str, object]
) -> list[tuple[str, str]]:
    computed, found = aggregate(samples, scorers_of(task), options, only=set(task.metrics)), []
    computed |= again(task, samples, options)
    unknown = task.metrics.keys() - summary_metrics().keys()
    for name, claimed in task.metrics.items():
        if name in computed:
            found += [(code, f"{name}: {text}") for code, text in metric_differences(claimed, computed[name])]
        elif name in unknown:
            found.append(("unknown_metric", f"{name}: no scorer of this version computes it, so it cannot be verified"))
    return found


def _scored_again(result: Result, samples: Sequence[Sample], rescore: Rescore) -> dict[int, Sample]:
    """Each sample's `id()` to what its response gives: a question set at a time, for all tasks that take it."""
    again: dict[int, Sample] = {}
    for one, names in takers(result).items():
        tasks = [result.tasks[name] for name in names]
        alike = [task for task in tasks if not _unlike_scorers(task, rescore.scorer(task))]
        own = [sample for sample in samples if sample.task == one] if alike else []
        scorers = dict.fromkeys(name for task in alike for name in scorers_of(task))
        responses = [Response(**sample.model_dump(include=_RESPONSE_FIELDS)) for sample in own]
        again |= zip(map(id, own), rescore(responses, list(scorers)), strict=True)
    return again


def _rescore_problems(
    task: TaskResult, samples: Sequence[Sample], rescore: Rescore, again: Mapping[int, Sample]
) -> Iterator[tuple[str, str]]:
    """Evidence and scores that the raw responses do not give, with the same scorers."""
    own = rescore.scorer(task)
    other, judged = _unlike_scorers(task, own), _metrics_of(_verdicts_not_at_hand(own))
    if other:
        yield "scorer", f"rescored with other scorers than the result names, for {', '.join(other[:5])}"
        return
    for old in samples:
        new = again[id(old)]
        pairs = [(name, getattr(old, name), getattr(new, name)) for name in _EVIDENCE]
        names = sorted(set(task.metrics) & ({*old.scores} | {*new.scores}) - judged)
        pairs += [(name, old.scores.get(name), new.scores.get(name)) for name in names]
        for name, recorded, found in pairs:
            if not _alike(recorded, found):
                yield "rescored", f"sample {old.id[:60]}: {name} {_figure(recorded)}, again {_figure(found)}"


def _unlike_scorers(task: TaskResult, own: ScorerInfo) -> list[str]:
    """Metrics of other scorer versions than the installed ones; results of version 0.1 name them only together."""
    if not task.scorer.metrics:
        return [] if own.fingerprint == task.scorer.fingerprint else list(task.metrics)
    judged = _metrics_of(_verdicts_not_at_hand(own)) | summary_metrics().keys()  # summaries are computed again below
    differ = [name for name in task.metrics if own.metrics.get(name) != task.scorer.metrics.get(name)]
    return [name for name in differ if name not in judged]


def _verdicts_not_at_hand(own: ScorerInfo) -> list[str]:
    """Judges that are not asked again, so that the verdicts in the record are believed (`--verdicts` brings them)."""
    return [need for need in JUDGES if need not in own.parts]


def _metrics_of(scorers: Iterable[str]) -> set[str]:
    return {metric.name for name in scorers for metric in SCORERS.get(name).metrics}


def _alike(a: float | str | None, b: float | str | None) -> bool:
    return _same(a, b, RESCORE_TOLERANCE) if isinstance(a, float) and isinstance(b, float) else a == b


def _figure(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def metric_differences(
    claimed: MetricValue, found: MetricValue, tolerance: float = TOLERANCE
) -> Iterator[tuple[str, str]]:
    """Where a metric is not what was computed again: (code, message) for each field that differs."""
    if not _same(claimed.value, found.value, tolerance):
        yield "value", f"claimed {claimed.value}, the samples give {found.value}"
    for code in ("n", "unscored", "unscored_reasons", "ci_method", "higher_is_better"):
        if code == "higher_is_better" and claimed.higher_is_better is None:
            continue  # version 0.1 named no direction where it depends on the role, and so claimed none
        if getattr(claimed, code) != getattr(found, code):
            yield code, f"{code} claimed {getattr(claimed, code)}, the samples give {getattr(found, code)}"
    ends = [None, None] if claimed.ci95 is None else claimed.ci95
    others = [None, None] if found.ci95 is None else found.ci95
    if not all(_same(a, b, max(tolerance, CI_TOLERANCE)) for a, b in zip(ends, others, strict=True)):
        yield "interval", f"ci95 claimed {claimed.ci95}, the samples give {found.ci95}"


def _same(a: float | None, b: float | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)


def paths_of(target: Path, samples: Path | None) -> Path:
    """Where the samples of a result are.

    Raises:
        UserError: if none are named and none are next to the result.
    """
    path = samples or beside(target)
    if path is None:
        raise UserError(f"no samples.jsonl next to {target}", hint="name it with --samples")
    return path
