"""What makes a result acceptable to a board: the same tasks, versions, data, settings and scorers as every other entry.

Every reason for a refusal has a name; `results.plausible` finds what no true result can hold, on any board.
"""

import re
import unicodedata
from collections.abc import Iterator

from unlearn_bench.boards.board import Board, BoardMetric, Entry, TaskRule
from unlearn_bench.results import result_digest
from unlearn_bench.results.identity import different_keys, generation_rules
from unlearn_bench.results.plausible import Problem, hash_problems
from unlearn_bench.schema import Result, TaskResult
from unlearn_bench.untrusted import naming

_SLACK = 1e-9
_DTYPE = re.compile(r"(torch\.)?(b?float\d+(_[a-z0-9]+)?|u?int\d+|nf4|fp4|mxfp4|auto)")


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
    found += [Problem("hash", f"{where} is not a hash: {why}") for where, why in hash_problems(result)]
    if result.model.dtype is not None and not _DTYPE.fullmatch(result.model.dtype):
        found.append(Problem("dtype", f"model.dtype is not a precision of weights: {result.model.dtype[:40]!r}"))
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
            yield Problem("prompt", f"the model's {what} is not one that the board pins: {_short(value)}")


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
            found.append(Problem("proportion", f"{asked.key}: {metric.value} is not a share of {metric.n} questions"))
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
        "not_yours", f"{old.name!r} may be replaced by {owner}, not by {submitter or 'an unnamed submitter'!r}"
    )


def duplicate_problems(result: Result, name: str, board: Board, *, replace: bool = False) -> list[Problem]:
    """Whether the board already holds the name, the run, the answers, or the weights."""
    found = []
    if not replace and board.entry(name) is not None:
        found.append(Problem("duplicate_name", f"the board already has {name!r}; --overwrite keeps it as history"))
    others = [entry for entry in board.entries if entry.name != name]
    similar = naming.alike(name, (entry.name for entry in others))
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
