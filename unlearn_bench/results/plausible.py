"""Whether a result is possible: ranges, counts, intervals and hashes, for any board or comparison."""

from collections.abc import Iterator
from typing import NamedTuple

from unlearn_bench.schema import MetricValue, Result, TaskResult
from unlearn_bench.untrusted.escape import line
from unlearn_bench.untrusted.strings import problems_in

MAX_TASKS = 200
MAX_METRICS = 200
_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_LEAST_DIGITS = 9  # of 16 in a hash: fewer come by chance once in 10^15 hashes


class Problem(NamedTuple):
    """Why a submission is refused: a stable name for programs, and a sentence for people."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"[{self.code}] {line(self.message)[:400]}"


def document_problems(result: Result, plain: object) -> list[Problem]:
    """What no true result can hold, on any board.

    Args:
        result: The validated result.
        plain: The same document as parsed JSON, for the limits on every string.
    """
    found = [Problem("text", message) for message in problems_in(plain)]
    if not result.tasks:
        found.append(Problem("no_tasks", "the result holds no task"))
    if len(result.tasks) > MAX_TASKS:
        found.append(Problem("too_many", f"more than {MAX_TASKS} tasks"))
    found += [Problem("hash", f"{where} is not a hash: {why}") for where, why in hash_problems(result)]
    if result.model.adapter_dead:
        found.append(Problem("dead_adapter", "the adapter changes no weight: this is the base model's result"))
    for name, task in list(result.tasks.items())[:MAX_TASKS]:
        found += [Problem(code, f"task {name}: {message}") for code, message in _task_problems(task)]
    return found


def hash_problems(result: Result) -> Iterator[tuple[str, str]]:
    """(field, reason) of hashes that were typed by hand: a digit repeated, a pattern, the hash of nothing."""
    named = {f"model.{key}": value for key, value in result.model.model_dump().items() if key.endswith("sha256")}
    named |= {"samples_sha256": result.samples_sha256, "harness.code_sha256": result.harness.code_sha256}
    named |= {f"tasks.{name}.dataset.sha256": task.dataset.sha256 for name, task in result.tasks.items()}
    for where, value in named.items():
        if value == _OF_NOTHING:
            yield where, "it is the hash of an empty file"
        elif value is not None and len(set(value)) < _LEAST_DIGITS:
            yield where, f"it has {len(set(value))} different digits of 16"
        elif value is not None and any(value == value[:size] * (64 // size) for size in (8, 16, 32)):
            yield where, "it repeats itself"


def _task_problems(task: TaskResult) -> Iterator[tuple[str, str]]:
    if task.n < 1:
        yield "count", "n is 0 or less"
    if len(task.metrics) > MAX_METRICS:
        yield "too_many", f"more than {MAX_METRICS} metrics"
        return
    for what in ("empty", "degenerate"):
        if not 0 <= getattr(task, what) <= task.n:
            yield "count", f"{what} is {getattr(task, what)} of n = {task.n}"
    if task.clusters is not None and not 1 <= task.clusters.n <= task.n:
        yield "count", f"{task.clusters.n} clusters of n = {task.n} questions"
    for name, metric in task.metrics.items():
        for code, message in _metric_problems(metric, task):
            yield code, f"{name}: {message}"


def _metric_problems(metric: MetricValue, task: TaskResult) -> Iterator[tuple[str, str]]:
    if metric.n + metric.unscored > task.n:
        yield "count", f"{metric.n} scored and {metric.unscored} unscored of n = {task.n}"
    if metric.unscored_reasons and sum(metric.unscored_reasons.values()) != metric.unscored:
        yield "count", "the reasons do not add up to the unscored"
    if any(count < 1 for count in metric.unscored_reasons.values()):
        yield "count", "a reason is counted less than once"
    if metric.value is None and metric.ci95 is not None:
        yield "interval", "an interval without a value"
    if metric.value is not None and metric.n == 0:
        yield "count", "a value from no sample"
    if metric.ci95 is not None and metric.ci95[0] > metric.ci95[1]:
        yield "interval", f"the interval runs backwards: {list(metric.ci95)}"
