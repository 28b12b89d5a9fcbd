"""Do the numbers of a result follow from its samples?

Four questions, each with named answers: are these the samples that the result names; do they ask what the tasks say
(rows, splits, clusters, empties); does every per-sample score follow from the evidence in its own record (entities,
coverage, inference, perplexity, the response itself); and do the aggregates and intervals follow from those scores.
`rescore` goes one step further back, and gathers the evidence again from the raw responses.

This is the one part of the leaderboard that imports scorers: their rules need no model.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench import __version__
from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _samples
from unlearn_bench.leaderboard._checks import Problem
from unlearn_bench.results import result_fingerprint
from unlearn_bench.schema import MetricValue, Response, Result, Sample, ScorerInfo, TaskResult

TOLERANCE = 1e-9
CI_TOLERANCE = 1e-6  # a seeded bootstrap is exact on one version of numpy, and nearly so on the next
RESCORE_TOLERANCE = 1e-4  # models in float32 agree to about this between machines and batch sizes
_MAX_PER_TASK = 10


# Scores responses as a task was scored: the samples, and who scored them.
Rescore = Callable[[TaskResult, Sequence[Response]], tuple[Sequence[Sample], ScorerInfo]]
_RESPONSE_FIELDS = set(Response.model_fields) - {"given"}


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        problems: Everything that does not agree; empty means that the result follows from its samples.
        recomputed: Metrics whose value, counts and interval were computed again.
        scores: Per-sample scores that were computed again.
    """

    problems: list[Problem]
    rows: int
    samples_sha256: str
    recomputed: int
    scores: int
    level: str = "records"
    harness: str = __version__

    @property
    def agrees(self) -> bool:
        """Whether every number follows from the samples."""
        return not self.problems


def verify(
    result: Result,
    samples_path: Path,
    rescore: Rescore | None = None,
    options: Mapping[str, object] | None = None,
) -> VerifyReport:
    """Recompute a result from its samples.

    Args:
        result: What is claimed.
        samples_path: The samples.jsonl that the claim rests on.
        rescore: Scores raw responses afresh; None stops at the evidence that the samples record.
        options: Scorer options that the result does not record (kfr_rule, …).

    Raises:
        UserError: if the samples cannot be read.
    """
    digest = _samples.sha256(samples_path)
    problems = []
    if result.samples_sha256 is None:
        problems.append(Problem("samples_hash", "the result names no samples (samples_sha256 is missing)"))
    elif digest != result.samples_sha256:
        problems.append(Problem("samples_hash", "the samples are not those that the result names"))
    if result.fingerprint != result_fingerprint(result.model, result.tasks, result.run):
        problems.append(Problem("fingerprint", "the fingerprint is not that of the result's model, tasks and settings"))
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for sample in _samples.iterate(samples_path):
        by_task[sample.task].append(sample)
    for name in sorted(by_task.keys() - result.tasks.keys()):
        problems.append(Problem("unknown_task", f"samples of task {name[:80]!r}, which the result does not hold"))
    recomputed = scores = 0
    for name, task in result.tasks.items():
        samples = by_task.get(name, [])
        found = list(_row_problems(task, samples))
        if samples:
            effective = {**task.scorer.options, **(options or {})}
            found += _first(_score_problems(task, samples, effective))
            found += _metric_problems(task, samples, effective)
            found += _first(_rescore_problems(task, samples, rescore)) if rescore else []
        problems += [Problem(code, f"task {name}: {message}") for code, message in found]
        recomputed += len(task.metrics)
        scores += sum(len(sample.scores) for sample in samples)
    rows = sum(map(len, by_task.values()))
    level = "records" if rescore is None else "rescored"
    return VerifyReport(problems, rows, digest, recomputed, scores, level)


def _first(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    found = list(found)
    rest = len(found) - _MAX_PER_TASK
    return found if rest <= 0 else [*found[:_MAX_PER_TASK], (found[0][0], f"… and {rest} more samples")]


def _row_problems(task: TaskResult, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    if len(samples) != task.n:
        yield "rows", f"n is {task.n}, and there are {len(samples)} samples"
        if not samples:
            return
    repeated = [name for name, count in Counter(s.id for s in samples).items() if count > 1]
    if repeated:
        yield "duplicate_row", f"the row {repeated[0][:80]!r} is there more than once"
    yield from _flag_problems(task, samples)
    clusters = {s.cluster for s in samples}
    known = None if None in clusters or len(clusters) < 2 else len(clusters)
    if (task.clusters.n if task.clusters else None) != known:
        yield "clusters", f"clusters are {task.clusters and task.clusters.n}; the samples say {known}"


def _flag_problems(task: TaskResult, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    """Whether the responses themselves say which are empty and which are no language."""
    from unlearn_bench.scorers._degenerate import degenerate, is_empty

    for name, claimed, flags, found in (
        ("empty", task.empty, [s.empty for s in samples], [is_empty(s.response) for s in samples]),
        (
            "degenerate",
            task.degenerate,
            [s.degenerate for s in samples],
            [degenerate(s.response) for s in samples],
        ),
    ):
        count = sum(map(bool, found))
        if claimed != count:
            yield name, f"{name} is {claimed}; the responses say {count}"
        elif flags != found:
            first = next(s.id for s, a, b in zip(samples, flags, found, strict=True) if a != b)
            yield name, f"sample {first[:60]}: the flag {name} is not what the response says"


def _scorers(task: TaskResult) -> dict[str, object]:
    """The scorers whose metrics the task holds, by name."""
    from unlearn_bench.scorers import SCORERS

    wanted = set(task.metrics)
    found = {name: SCORERS.get(name) for name in SCORERS.names()}
    return {name: scorer for name, scorer in found.items() if wanted & {m.name for m in scorer.metrics}}


def _settings(options: Mapping[str, object]) -> dict[str, object]:
    """Every scorer's options: the defaults, and what the result says."""
    from unlearn_bench.scorers import SCORERS

    defaults = {key: value for name in SCORERS.names() for key, value in SCORERS.get(name).options.items()}
    return {**defaults, **options}


def _score_problems(
    task: TaskResult, samples: Sequence[Sample], options: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """Per-sample scores that do not follow from the evidence beside them."""
    from unlearn_bench.scorers._pipeline import applies

    scorers = _scorers(task)
    settings = _settings(options)
    for sample in samples:
        computed: dict[str, object] = {}
        for scorer in scorers.values():
            if applies(scorer, sample):
                computed.update(scorer.score(sample, settings))
        for message in _sample_differences(sample, computed):
            yield "score", f"sample {sample.id[:60]}: {message}"


def _sample_differences(sample: Sample, computed: Mapping[str, object]) -> Iterator[str]:
    for name, expected in computed.items():
        recorded = sample.scores.get(name)
        if not isinstance(expected, (int, float)) or not math.isfinite(expected):
            if recorded is not None:
                yield f"{name} is {recorded:g}, but its evidence cannot be scored"
        elif recorded is None:
            yield f"{name} is not scored, but its evidence gives {expected:g}"
        elif not _same(float(expected), recorded, TOLERANCE):
            yield f"{name} is {recorded:g}, its evidence gives {expected:g}"


def _metric_problems(
    task: TaskResult, samples: Sequence[Sample], options: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    from unlearn_bench.scorers._pipeline import aggregate

    computed = aggregate(samples, list(_scorers(task)), options, only=set(task.metrics))
    for name, claimed in task.metrics.items():
        found = computed.get(name)
        if found is None:
            yield "unknown_metric", f"{name}: no scorer of this version computes it, so it cannot be verified"
            continue
        for code, message in _differences(claimed, found):
            yield code, f"{name}: {message}"


def _rescore_problems(task: TaskResult, samples: Sequence[Sample], rescore: Rescore) -> Iterator[tuple[str, str]]:
    """Evidence and scores that the raw responses do not give, with the same scorers."""
    responses = [Response(**s.model_dump(include=_RESPONSE_FIELDS)) for s in samples]
    again, scorer = rescore(task, responses)
    other = [name for name in task.metrics if scorer.metrics.get(name) != task.scorer.metrics.get(name)]
    if other:
        yield "scorer", f"rescored with other scorers than the result names, for {', '.join(other[:5])}"
        return
    for old, new in zip(samples, again, strict=True):
        for name in sorted(set(task.metrics) & ({*old.scores} | {*new.scores})):
            if not _same(old.scores.get(name), new.scores.get(name), RESCORE_TOLERANCE):
                yield "rescored", f"sample {old.id[:60]}: {name} {old.scores.get(name)}, again {new.scores.get(name)}"


def _differences(claimed: MetricValue, found: MetricValue) -> Iterator[tuple[str, str]]:
    if not _same(claimed.value, found.value, TOLERANCE):
        yield "value", f"claimed {claimed.value}, the samples give {found.value}"
    for code in ("n", "unscored", "unscored_reasons", "ci_method", "higher_is_better"):
        if code == "higher_is_better" and claimed.higher_is_better is None:
            continue  # version 0.1 named no direction where it depends on the role, and so claimed none
        if getattr(claimed, code) != getattr(found, code):
            yield code, f"{code} claimed {getattr(claimed, code)}, the samples give {getattr(found, code)}"
    ends = [None, None] if claimed.ci95 is None else claimed.ci95
    others = [None, None] if found.ci95 is None else found.ci95
    if not all(_same(a, b, CI_TOLERANCE) for a, b in zip(ends, others, strict=True)):
        yield "interval", f"ci95 claimed {claimed.ci95}, the samples give {found.ci95}"


def _same(a: float | None, b: float | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)


def paths_of(target: Path, samples: Path | None) -> Path:
    """Where the samples of a result are.

    Raises:
        UserError: if none are named and none are beside the result.
    """
    path = samples or _samples.beside(target)
    if path is None:
        raise UserError(f"no samples.jsonl beside {target}", hint="name it with --samples")
    return path
