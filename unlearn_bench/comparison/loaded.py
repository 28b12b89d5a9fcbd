"""A result with its samples, as `check` and `compare` look at it, and what keeps two results from being compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from unlearn_bench.comparison.metric_info import range_problems
from unlearn_bench.errors import UserError
from unlearn_bench.results import beside, matching_samples, read_document, samples_by_task
from unlearn_bench.results.identity import different_keys, generation_rules, scorer_differences
from unlearn_bench.results.plausible import document_problems
from unlearn_bench.schema import MetricValue, Result, Sample, TaskResult


@dataclass(frozen=True)
class LoadedResult:
    """A result under the name it is shown by.

    Attributes:
        samples_path: Its samples; None where they are not at hand.
        held: The samples themselves, where they were made from those of the file.
        shown: The metrics ("task/metric") of the board that the result comes from; None for a separate result.
    """

    name: str
    result: Result
    samples_path: Path | None = None
    shown: frozenset[str] | None = field(default=None, repr=False)
    held: Sequence[Sample] | None = field(default=None, repr=False)

    @cached_property
    def samples(self) -> Sequence[Sample] | None:
        """The samples, made sure to be this result's."""
        if self.held is not None or self.samples_path is None:
            return self.held
        return matching_samples(self.result, self.samples_path)

    @cached_property
    def by_task(self) -> dict[str, list[Sample]] | None:
        """Each task with its samples; None where they are not at hand."""
        return None if self.samples is None else samples_by_task(self.result, self.samples)

    def metrics(self) -> dict[str, MetricValue]:
        """Values by "task/metric", lm-eval's own tasks included."""
        found = {f"{t}/{m}": value for t, task in self.result.tasks.items() for m, value in task.metrics.items()}
        for task, values in self.result.other.items():
            for name, value in values.items():
                metric, _, kind = name.partition(",")
                if not metric.endswith("_stderr"):
                    error = values.get(f"{metric}_stderr,{kind}" if kind else f"{metric}_stderr")
                    found[f"{task}/{name}"] = _foreign(value, error, self.result.other_n.get(task, 0))
        return found


def _foreign(value: float, stderr: float | None, n: int) -> MetricValue:
    """A number of a stock lm-eval task, with the normal interval that its standard error gives."""
    half = None if stderr is None else 1.959963984540054 * stderr
    interval = None if half is None else (value - half, value + half)
    return MetricValue(value=value, ci95=interval, ci_method=half and "normal", n=n)


def with_samples(path: Path) -> tuple[Result, list[Sample]]:
    """A result and its samples, for what cannot be done without them.

    Raises:
        UserError: as `from_file`; or if there are no samples next to it.
    """
    found = from_file(path)
    if found.samples is None:
        raise UserError(f"{path} has no samples next to it", hint="keep samples.jsonl next to result.json")
    return found.result, found.samples


def from_file(path: Path, samples: Path | None = None) -> LoadedResult:
    """A result.json, or the one in a folder, with its samples.

    Args:
        path: The file or folder.
        samples: samples.jsonl; by default the one next to the result.

    Raises:
        UserError: if it cannot be read, or holds what no true result can.
    """
    result, plain = read_document(path)
    problems = [p for p in document_problems(result, plain) if p.code != "dead_adapter"]
    problems += range_problems(result)
    if problems:
        raise UserError(f"result {path} cannot be true", hint="\n  ".join(map(str, problems[:10])))
    return LoadedResult(result.model.name, result, samples or beside(path))


def distinct(subjects: Sequence[LoadedResult]) -> list[LoadedResult]:
    """The same subjects, numbered where they share a name."""
    names = [subject.name for subject in subjects]
    seen: Counter[str] = Counter()
    found = []
    for subject in subjects:
        seen[subject.name] += 1
        shared = names.count(subject.name) > 1
        found.append(replace(subject, name=f"{subject.name} ({seen[subject.name]})") if shared else subject)
    return found


def task_differences(old: TaskResult, new: TaskResult) -> list[str]:
    """Why no metric of a task can be compared between two results; empty if they can (see `metric_difference`)."""
    found = []
    for what, a, b in (
        ("version", old.version, new.version),
        ("role", old.role, new.role),
        ("rows (dataset hash)", old.dataset.sha256, new.dataset.sha256),
        ("number of questions", old.n, new.n),
        ("prompt style", old.prompt and old.prompt.style, new.prompt and new.prompt.style),
    ):
        if a != b:
            found.append(f"{what}: {_short(a)} and {_short(b)}")
    one, two = (generation_rules(task.generation) for task in (old, new))
    found += [f"generation {k}: {one.get(k)} and {two.get(k)}" for k in different_keys(one, two)]
    return found


def metric_difference(old: TaskResult, new: TaskResult, metric: str) -> str | None:
    """Why one metric of a task cannot be compared though the task can: other scorers made it; None if it can."""
    a, b = (_metric_fingerprint(task, metric) for task in (old, new))
    return None if a == b else f"scorer fingerprint: {_short(a)} and {_short(b)}{_scorer_hint(old, new)}"


def _metric_fingerprint(task: TaskResult, metric: str) -> str:
    return task.scorer.metrics.get(metric, task.scorer.fingerprint)


def _scorer_hint(old: TaskResult, new: TaskResult) -> str:
    told = scorer_differences(old.scorer, new.scorer)
    return f" ({'; '.join(told)})" if told else " (the same versions and parts by name: their models differ)"


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
