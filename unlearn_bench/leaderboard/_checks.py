"""What makes a result acceptable to a board: every reason for a refusal has a name.

`document_problems` asks whether the result can be true at all (ranges, counts, intervals); `board_problems` whether it
answers what the board asks: the same tasks, versions, data, generation settings and scorers as every other entry.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from unlearn_bench.leaderboard import _escape, _names, _text
from unlearn_bench.leaderboard.board import Board, BoardMetric, Entry, Setting, TaskRule, result_digest
from unlearn_bench.schema import MetricValue, Result, TaskResult

MAX_TASKS = 200
MAX_METRICS = 200
EXECUTION = frozenset({"batch_size", "backend", "device"})
_SLACK = 1e-9
_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_LEAST_DIGITS = 9  # of 16 in a hash: fewer come by chance once in 10^15 hashes
_DTYPE = re.compile(r"(torch\.)?(b?float\d+(_[a-z0-9]+)?|u?int\d+|nf4|fp4|mxfp4|auto)")


class Problem(NamedTuple):
    """Why a submission is refused: a stable name for programs, and a sentence for people."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"[{self.code}] {_escape.line(self.message)[:400]}"


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
    found += [Problem("hash", f"{where} is no hash of anything: {why}") for where, why in _hash_problems(result)]
    if result.model.adapter_dead:
        found.append(Problem("dead_adapter", "the adapter changes no weight: this is the base model's result"))
    for name, task in list(result.tasks.items())[:MAX_TASKS]:
        found += [Problem(code, f"task {name}: {message}") for code, message in _task_problems(task)]
    return found


def _hash_problems(result: Result) -> Iterator[tuple[str, str]]:
    """Hashes that somebody typed: a digit repeated, a pattern, the hash of nothing."""
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


def board_problems(result: Result, board: Board) -> list[Problem]:
    """Where the result is not what the board asks for."""
    found: list[Problem] = []
    if result.run.get("limit") not in (None, 0):
        found.append(Problem("limited", f"the run was limited to {result.run['limit']} questions"))
    if result.model.partial:
        found.append(Problem("partial", f"the model was not whole when it ran: {result.model.partial[:200]}"))
    if result.run.get("first_answer", True) is not True:
        found.append(Problem("first_answer", "answers were taken whole, and the board's are read (first_answer)"))
    if board.rules.weights and result.model.weights_sha256 is None:
        found.append(Problem("no_weights", "the board asks for a checkpoint whose weights have a digest"))
    found += [Problem("hash", f"{where} is no hash of anything: {why}") for where, why in _hash_problems(result)]
    if result.model.dtype is not None and not _DTYPE.fullmatch(result.model.dtype):
        found.append(Problem("dtype", f"model.dtype is no precision of weights: {result.model.dtype[:40]!r}"))
    found += _prompt_problems(result, board)
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


def _prompt_problems(result: Result, board: Board) -> Iterator[Problem]:
    """Models that are asked through another chat template or tokenizer than the board pins."""
    for what, value, pinned in (
        ("chat template", result.model.chat_template_sha256, board.rules.chat_templates),
        ("tokenizer", result.model.tokenizer_sha256, board.rules.tokenizers),
    ):
        if pinned and value not in pinned:
            yield Problem("prompt", f"the model's {what} is none of those that the board pins: {_short(value)}")


def differences_in_asking(result: Result, original: Result) -> list[str]:
    """How a model is asked otherwise than the original: which hashes of chat template and tokenizer differ."""
    found = []
    for field, what in (("chat_template_sha256", "chat template"), ("tokenizer_sha256", "tokenizer")):
        if getattr(result.model, field) != getattr(original.model, field):
            found.append(what)
    styles = {
        name
        for name in result.tasks.keys() & original.tasks.keys()
        if (a := result.tasks[name].prompt) and (b := original.tasks[name].prompt) and a.style != b.style
    }
    return [*found, *(["prompt style"] if styles else [])]


def rule_problems(task: TaskResult, rule: TaskRule) -> Iterator[tuple[str, str]]:
    """Where a task is unlike the others on the board: (code, message) for each difference from what is pinned."""
    pairs = [
        ("task_version", "version", task.version, rule.version),
        ("role", "role", task.role, rule.role),
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


def pinned_by(task: TaskResult) -> dict[str, object]:
    """What a first entry pins of the task's rule, where the board leaves it open."""
    return {
        "version": task.version,
        "n": task.n,
        "dataset_sha256": task.dataset.sha256,
        "scorers": task.scorer.metrics or None,
        "generation": generation_rules(task.generation),
    }


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


def owner_problem(old: Entry, submitter: str | None, *, maintainer: bool) -> Problem | None:
    """Why an entry may not be replaced: only who submitted it may, or a maintainer of the board."""
    if maintainer or (submitter is not None and old.submitter == submitter):
        return None
    owner = (
        "its maintainers (--maintainer)" if old.submitter is None else f"its submitter {old.submitter!r} (--submitter)"
    )
    return Problem(
        "not_yours", f"{old.name!r} may be replaced by {owner}, and not by {submitter or 'somebody unnamed'!r}"
    )


def duplicate_problems(result: Result, name: str, board: Board, *, replace: bool = False) -> list[Problem]:
    """Whether the board already holds the name, the run, the answers, or the weights."""
    found = []
    if not replace and board.entry(name) is not None:
        found.append(Problem("duplicate_name", f"the board already has {name!r}; --replace keeps it as history"))
    others = [entry for entry in board.entries if entry.name != name]
    similar = _names.alike(name, (entry.name for entry in others))
    if similar is not None:
        found.append(Problem("duplicate_name", f"{name!r} reads like the existing entry {similar!r}"))
    digest = result_digest(result)
    found += [
        Problem("duplicate_result", f"this very result is already there, as {entry.name!r}")
        for entry in board.entries
        if entry.result_sha256 == digest
    ]
    for entry in others:
        if entry.result_sha256 != digest:
            found += [Problem(code, f"{what}, as {entry.name!r}") for code, what in _same_subject(entry.result, result)]
    return found


def _same_subject(old: Result, new: Result) -> Iterator[tuple[str, str]]:
    """Whether two results are of one model: the same weights in the same precision, or the same answers throughout."""
    fields = ("weights_sha256", "adapter_sha256")
    same = all(getattr(old.model, field) == getattr(new.model, field) for field in fields)
    precisions = {_dtype(old), _dtype(new)}
    same = same and (len(precisions) == 1 or bool(precisions & {None, "auto"}))
    if same and new.model.weights_sha256 is not None and _asked_alike(old, new):
        other = differences_in_asking(new, old)
        how = f" (with another {', '.join(other)}, which makes no other checkpoint)" if other else ""
        yield "duplicate_weights", f"these weights are already there{how}"
    if new.samples_sha256 is not None and old.samples_sha256 == new.samples_sha256 and not _all_degenerate(new):
        yield "duplicate_samples", "these very answers, all of them, are already there"


def _dtype(result: Result) -> str | None:
    """The precision, without what a writer may add to it."""
    name = result.model.dtype
    return None if name is None else re.sub(r"^torch|[^a-z0-9]", "", unicodedata.normalize("NFKC", name).casefold())


def _asked_alike(old: Result, new: Result) -> bool:
    return all(
        generation_rules(old.tasks[name].generation) == generation_rules(task.generation)
        for name, task in new.tasks.items()
        if name in old.tasks
    )


def _all_degenerate(result: Result) -> bool:
    """Whether no answer is language: two collapsed models may well say the same."""
    return all(task.degenerate == task.n for task in result.tasks.values())
