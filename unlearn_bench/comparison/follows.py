"""Do a result's numbers follow from its samples, and did both results ask the same rows?

Cheaper than `verify`, which recomputes every score from its evidence: here the rows are counted, labels must be 0 or 1
(of this package's tasks: those that their evidence gives), values within their bounds, and every aggregate is computed
again from the scores. Two results of one dataset hash
must hold the same rows, word by word. What does not fit is refused: an edited file is not evidence.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from unlearn_bench.comparison.loaded import LoadedResult, from_file, metric_difference, task_differences
from unlearn_bench.comparison.metric_info import MetricInfo, known
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import sample_value
from unlearn_bench.evidence.records import label_problems
from unlearn_bench.results import cluster_info
from unlearn_bench.schema import MetricValue, Sample, TaskResult
from unlearn_bench.summaries.aggregate import again
from unlearn_bench.tasks_index import task_definitions
from unlearn_bench.untrusted.strings import shown

_TOLERANCE = 1e-6
_MOST = 10


def require_comparable(
    baseline: LoadedResult,
    candidate: LoadedResult,
    judged: Iterable[str],
    *,
    allow_no_samples: bool = False,
    allow_partial: bool = False,
) -> None:
    """Make sure that two results rest on samples and whole models, follow from them, and hold the same rows.

    Args:
        baseline: The result before.
        candidate: The result after.
        judged: "task/metric" of what is judged.
        allow_no_samples: Take the numbers of a result without samples as they are.
        allow_partial: Judge a model of which tensors were missing.

    Raises:
        UserError: naming what is missing or does not fit.
    """
    for subject, option in ((baseline, "--baseline-samples"), (candidate, "--samples")):
        if not allow_no_samples:
            _require_samples(subject, option)
        if not allow_partial:
            _require_whole(subject)
    require_alike(baseline, candidate, judged)
    for subject in (baseline, candidate):
        require(subject)
    _require_same_rows(baseline, candidate, {key.partition("/")[0] for key in judged})


def _require_samples(subject: LoadedResult, option: str) -> None:
    """Make sure that a result's samples are at hand: numbers without them could say anything.

    Raises:
        UserError: if they are not.
    """
    if subject.samples is None:
        raise UserError(
            shown(f"the samples of {subject.name} are missing, so its numbers cannot be checked against them"),
            hint=f"keep samples.jsonl next to result.json, or name it with {option}; "
            "--allow-no-samples takes the numbers as they are",
        )


def _require_whole(subject: LoadedResult) -> None:
    """Make sure that all of a model was loaded: what was missing held random numbers.

    Raises:
        UserError: naming what was missing.
    """
    if subject.result.model.partial:
        raise UserError(
            shown(f"the model of {subject.name} was not whole when it ran: {subject.result.model.partial[:300]}"),
            hint="run it again with all of its weights; --allow-partial judges it as it is",
        )


def taken_on_trust(subject: LoadedResult) -> list[str]:
    """What cannot be checked about a result, or makes its numbers doubtful."""
    notes = []
    if subject.samples is None:
        notes.append(
            f"no samples of {subject.name}: its numbers are taken as they are, and intervals are compared instead "
            "of questions, with less power"
        )
    if subject.result.model.partial:
        notes.append(f"the model of {subject.name} was not whole: {subject.result.model.partial}")
    return notes


def require(subject: LoadedResult) -> None:
    """Make sure that a result follows from its samples; nothing is known where it has none.

    Raises:
        UserError: naming what does not fit.
    """
    if subject.samples is None:
        return
    problems = [] if subject.result.samples_sha256 else ["the result names no samples (samples_sha256 is missing)"]
    for name, task in subject.result.tasks.items():
        samples = subject.by_task[name]
        problems += [f"{name}: {problem}" for problem in _task_problems(task, samples)]
        if name in task_definitions():  # its labels come from evidence in the same record
            problems += [f"{name}: {problem}" for problem in label_problems(task, samples)]
    _refuse(f"the result of {subject.name} does not follow from its samples", problems)


def followed(path: Path) -> LoadedResult:
    """A result.json, or the one in a folder, that follows from the samples next to it.

    Raises:
        UserError: as `from_file` and `require`.
    """
    found = from_file(path)
    require(found)
    return found


def require_alike(old: LoadedResult, new: LoadedResult, keys: Iterable[str]) -> None:
    """Refuse to compare unlike with unlike.

    Raises:
        UserError: with every difference in rows, number of questions, scorers and settings.
    """
    reasons: dict[str, None] = {}
    for key in sorted(keys):
        name, _, metric = key.partition("/")
        a, b = old.result.tasks.get(name), new.result.tasks.get(name)
        if a is not None and b is not None:
            reasons |= dict.fromkeys(f"{name}: {reason}" for reason in task_differences(a, b))
            own = metric_difference(a, b, metric)
            reasons |= {f"{key}: {own}": None} if own else {}
            asked = [x.metrics[metric].n + x.metrics[metric].unscored for x in (a, b)]
            if asked[0] != asked[1] and a.n == b.n:
                reasons[f"{key}: answers that were scored or counted as unscored: {asked[0]} and {asked[1]}"] = None
        counts = old.result.other_n.get(name), new.result.other_n.get(name)
        if counts[0] != counts[1]:
            reasons[f"{name}: number of questions: {counts[0]} and {counts[1]}"] = None
    limits = [x.result.run.get("limit") for x in (old, new)]
    if reasons and limits[0] != limits[1]:
        said = " and ".join("without --limit" if limit is None else f"with --limit {limit}" for limit in limits)
        reasons = {f"they were run {said}: run both alike": None} | reasons
    if reasons:
        raise UserError(f"{new.name} and {old.name} cannot be compared", hint="\n  ".join(list(reasons)[:30]))


def _require_same_rows(old: LoadedResult, new: LoadedResult, tasks: Iterable[str]) -> None:
    """Make sure that both results hold the same rows of the named tasks, where both have samples.

    Raises:
        UserError: naming the first rows that one lacks, or that read otherwise.
    """
    if old.samples is None or new.samples is None:
        return
    problems = [f"{task}: {problem}" for task in sorted(tasks) for problem in row_problems(old, new, task)]
    _refuse(f"{new.name} and {old.name} do not hold the same rows, though the dataset's hash is the same", problems)


def row_problems(old: LoadedResult, new: LoadedResult, task: str) -> list[str]:
    """Where the rows of a task differ between two results that have samples."""
    a, b = ({_row(sample) for sample in (subject.by_task or {}).get(task, ())} for subject in (old, new))
    missing = [f"row {_named(row)} of {old.name} is not among those of {new.name}" for row in sorted(a - b)]
    return missing or [f"row {_named(row)} of {new.name} is not among those of {old.name}" for row in sorted(b - a)]


def _refuse(message: str, problems: Sequence[str]) -> None:
    if problems:
        more = [f"and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
        raise UserError(shown(message), hint="\n  ".join([*map(shown, problems[:_MOST]), *more]))


def _row(sample: Sample) -> tuple[str, ...]:
    return (sample.id, sample.role, sample.question, sample.reference or "", sample.cluster or "")


def _named(row: tuple[str, ...]) -> str:
    return f"{row[0][:60]!r} ({row[2][:60]!r})"


def _task_problems(task: TaskResult, samples: Sequence[Sample]) -> Iterator[str]:
    if len(samples) != task.n:
        yield f"n is {task.n}, and there are {len(samples)} samples"
        return
    repeated = [key for key, count in Counter((s.id, s.question) for s in samples).items() if count > 1]
    if repeated:
        yield f"the row {repeated[0][0][:60]!r} is there more than once"
    found = cluster_info(samples)
    if (task.clusters and task.clusters.n) != (found and found.n):
        yield f"clusters are {task.clusters and task.clusters.n}; the samples say {found and found.n}"
    for what, count in (("empty", sum(s.empty for s in samples)),
                        ("degenerate", sum(s.degenerate is not None for s in samples))):  # fmt: skip
        if getattr(task, what) != count:
            yield f"{what} is {getattr(task, what)}; the samples say {count}"
    for name, value in task.metrics.items():
        metric = known().get(name)
        if metric is not None and metric.kind != "summary":
            yield from (f"{name}: {problem}" for problem in _metric_problems(name, metric, value, samples))
    for name, found in again(task, samples, task.scorer.options).items():
        said = task.metrics[name].value
        if said is not found.value and (None in (said, found.value) or not _close(said, found.value)):
            yield f"{name}: the result says {said}, the samples give {found.value}"


def _metric_problems(name: str, metric: MetricInfo, claimed: MetricValue, samples: Sequence[Sample]) -> Iterator[str]:
    values = [(s.id, sample_value(s, name)) for s in samples]
    present = [(row, value) for row, value in values if value is not None]
    for row, value in present:
        low, high = metric.bounds
        if metric.kind == "proportion" and value not in (0.0, 1.0):
            yield f"the label of row {row[:60]!r} is {value:g}, not 0 or 1"
            return
        if not low - _TOLERANCE <= value <= high + _TOLERANCE:
            yield f"the value of row {row[:60]!r} is {value:g}, outside {low:g} to {high:g}"
            return
    unscored = sum(name in s.unscored for s in samples)
    if (claimed.n, claimed.unscored) != (len(present), unscored):
        found = f"{len(present)} and {unscored}"
        yield f"{claimed.n} scored and {claimed.unscored} unscored; the samples say {found}"
        return
    value = _aggregate(metric, [value for _, value in present], samples)
    if metric.kind == "corpus" and metric.combine is None:
        return
    same = claimed.value is value if None in (claimed.value, value) else _close(claimed.value, value)
    if not same:
        yield f"the result says {claimed.value}, the samples give {value}"


def _aggregate(metric: MetricInfo, present: Sequence[float], samples: Sequence[Sample]) -> float | None:
    if not present:
        return None
    if metric.kind != "corpus":
        return math.fsum(present) / len(present)
    if metric.combine is None:
        return None
    rows = np.array([[s.scores.get(c, math.nan) for c in metric.components] for s in samples])
    known = rows[~np.isnan(rows).all(axis=1)]
    return float(metric.combine(np.nanmean(known, axis=0))) if len(known) else None


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
