"""What makes a result acceptable to a board: every reason for a refusal has a name.

`document_problems` asks whether the result can be true at all (ranges, counts, intervals); `board_problems` whether it
answers what the board asks: the same tasks, versions, data, generation settings and scorers as every other entry.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from unlearn_bench.leaderboard import _text
from unlearn_bench.leaderboard.board import Board, BoardMetric, Entry, Setting, TaskRule, result_digest
from unlearn_bench.schema import MetricValue, Result, TaskResult

MAX_TASKS = 200
MAX_METRICS = 200
EXECUTION = frozenset({"batch_size", "backend", "device"})
_SLACK = 1e-9


class Problem(NamedTuple):
    """Why a submission is refused: a stable name for programs, and a sentence for people."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"[{self.code}] {_text.shown(self.message)[:400]}"


def document_problems(result: Result, plain: object) -> list[Problem]:
    """What no true result can hold, whatever the board.

    Args:
        result: The validated result.
        plain: The same document as parsed JSON, for the limits on every string.
    """
    found = [Problem("text", message) for message in _text.problems_in(plain)]
    if not result.tasks:
        found.append(Problem("no_tasks", "the result holds no task"))
    if len(result.tasks) > MAX_TASKS:
        found.append(Problem("too_many", f"more than {MAX_TASKS} tasks"))
    if result.model.adapter_dead:
        found.append(Problem("dead_adapter", "the adapter changes no weight: this is the base model's result"))
    for name, task in list(result.tasks.items())[:MAX_TASKS]:
        found += [Problem(code, f"task {name}: {message}") for code, message in _task_problems(task)]
    return found


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


def board_problems(result: Result, board: Board) -> list[Problem]:
    """Where the result is not what the board asks for."""
    found: list[Problem] = []
    if result.run.get("limit") not in (None, 0):
        found.append(Problem("limited", f"the run was limited to {result.run['limit']} questions"))
    if board.rules.weights and result.model.weights_sha256 is None:
        found.append(Problem("no_weights", "the board asks for a checkpoint whose weights have a digest"))
    for name, rule in board.tasks.items():
        task = result.tasks.get(name)
        if task is not None:
            found += [Problem(code, f"task {name}: {message}") for code, message in rule_problems(task, rule)]
        elif any(metric.required and metric.task == name for metric in board.metrics):
            found.append(Problem("missing_task", f"the board asks for task {name}, which the result does not hold"))
    for metric in board.metrics:
        task = result.tasks.get(metric.task)
        if task is not None:
            found += _asked_metric_problems(task, metric)
    return found


def rule_problems(task: TaskResult, rule: TaskRule) -> Iterator[tuple[str, str]]:
    """Where a task is unlike the others on the board: (code, message) for each difference from what is pinned."""
    pairs = [
        ("task_version", "version", task.version, rule.version),
        ("split", "split", task.split, rule.split),
        ("n", "number of questions", task.n, rule.n),
        ("dataset", "dataset rows' hash", task.dataset.sha256, rule.dataset_sha256),
        ("scorer", "scorer fingerprint", task.scorer.fingerprint, None if rule.scorers else rule.scorer),
    ]
    for code, what, got, pinned in pairs:
        if pinned is not None and got != pinned:
            yield code, f"unlike the board's {what}: got {_short(got)}, expected {_short(pinned)}"
    for metric, pinned in (rule.scorers or {}).items():
        got = task.scorer.metrics.get(metric)
        if metric in task.metrics and got != pinned:
            yield "scorer", f"{metric}: unlike the board's scorers: got {_short(got)}, expected {_short(pinned)}"
    if rule.generation is not None:
        keys = different_keys(generation_rules(task.generation), rule.generation)
        if keys:
            yield "generation", f"answers were generated differently: {', '.join(keys)}"


def generation_rules(generation: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings that are part of the question, without those that only say how the machine was used."""
    return {key: value for key, value in generation.items() if key not in EXECUTION}


def different_keys(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The keys that one of two mappings lacks, or that differ."""
    return sorted(k for k in {**one, **other} if k not in one or k not in other or one[k] != other[k])


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text[:60]


def _asked_metric_problems(task: TaskResult, asked: BoardMetric) -> list[Problem]:
    metric = task.metrics.get(asked.metric)
    if metric is None:
        return [Problem("missing_metric", f"{asked.key} is not in the result")] if asked.required else []
    found = []
    if metric.higher_is_better != asked.higher_is_better:
        found.append(Problem("direction", f"{asked.key}: higher_is_better is not the board's {asked.higher_is_better}"))
    low, high = asked.bounds
    numbers = [number for number in (metric.value, *(metric.ci95 or ())) if number is not None]
    inside = all(low - _SLACK <= number <= high + _SLACK for number in numbers)
    if not inside:
        found.append(Problem("range", f"{asked.key}: {numbers} is not within [{low:g}, {high:g}]"))
    if inside and asked.proportion and metric.value is not None and metric.n:
        count = metric.value * metric.n
        if abs(count - round(count)) > 1e-6 * metric.n:
            found.append(Problem("proportion", f"{asked.key}: {metric.value} is no share of {metric.n} questions"))
        if metric.ci95 and not metric.ci95[0] - _SLACK <= metric.value <= metric.ci95[1] + _SLACK:
            found.append(Problem("interval", f"{asked.key}: the value lies outside its interval"))
    if metric.n + metric.unscored != task.n:
        found.append(
            Problem("count", f"{asked.key}: {metric.n} scored + {metric.unscored} unscored is not n = {task.n}")
        )
    return found


def duplicate_problems(result: Result, name: str, board: Board, *, replace: bool) -> list[Problem]:
    """Whether the board already holds the name, the run, or the weights."""
    found = []
    key, digest = _text.name_key(name), result_digest(result)
    for entry in board.entries:
        same_name = entry.name == name
        if same_name and not replace:
            found.append(Problem("duplicate_name", f"the board already has {name!r}; --replace keeps it as history"))
        elif not same_name and _text.name_key(entry.name) == key:
            found.append(Problem("duplicate_name", f"{name!r} reads like the existing entry {entry.name!r}"))
        if entry.result_sha256 == digest:
            found.append(Problem("duplicate_result", f"this very result is already there, as {entry.name!r}"))
        elif not same_name and _same_weights(entry, result):
            found.append(Problem("duplicate_weights", f"these weights are already there, as {entry.name!r}"))
    return found


def _same_weights(entry: Entry, result: Result) -> bool:
    old, new = entry.result.model, result.model
    if new.weights_sha256 is None:
        return False
    # The same weights at another precision, or with another tokenizer, are another subject.
    fields = ("weights_sha256", "adapter_sha256", "tokenizer_sha256", "chat_template_sha256", "dtype")
    same = all(getattr(old, field) == getattr(new, field) for field in fields)
    return same and all(
        generation_rules(entry.result.tasks[name].generation) == generation_rules(task.generation)
        for name, task in result.tasks.items()
        if name in entry.result.tasks
    )
