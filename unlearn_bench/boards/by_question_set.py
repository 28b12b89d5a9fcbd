"""A board whose tasks are names for parts of question sets, shown by question set; see `comparison.question_sets`."""

from collections.abc import Mapping
from pathlib import Path

from unlearn_bench.boards import kept_samples
from unlearn_bench.boards.board import Board, BoardMetric, Entry, TaskRule
from unlearn_bench.comparison.question_sets import Regrouped, current_key, regroup
from unlearn_bench.errors import UserError
from unlearn_bench.results import matching_samples, result_fingerprint, sets_of
from unlearn_bench.schema import Result, TaskResult
from unlearn_bench.tasks_index import question_sets

_PINS = ("version", "role", "n", "dataset_sha256", "generation", "question")


def needs_it(board: Board) -> bool:
    """Whether the board, or a result on it, names a task that is now a part of a question set."""
    names = {*board.tasks, *(name for entry in board.entries for name in entry.result.tasks)}
    return bool(names & question_sets().keys())


def notes(board: Board) -> list[str]:
    """What the maintainers of a board in the words of version 0.1 should know."""
    old = sorted(board.tasks.keys() & question_sets().keys())
    if not old:
        return []
    return [
        f"the board names tasks of version 0.1 ({', '.join(old)}), which work until 0.3; "
        "`unlearn-bench rescore BOARD` tells it by question set"
    ]


def regrouped(path: Path, entry: Entry) -> Regrouped | str:
    """An entry's result and samples by question set, or why that cannot be."""
    kept = kept_samples.kept(path, entry.result.samples_sha256)
    if kept is None:
        return "its samples are not kept next to the board"
    found = regroup(entry.result, matching_samples(entry.result, kept))
    return "; ".join(found.left.values()) or found


def fitted(result: Result, board: Board) -> Result:
    """A result in the words of a board: the parts of question sets that it asks for, or the whole sets.

    Samples stay as they are, so tasks of version 0.1, each with rows of its own, are not put together here.
    """
    sets = question_sets()
    parts = {name: sets[name] for name in board.tasks if name not in result.tasks and sets.get(name) in result.tasks}
    if parts:
        tasks = {**result.tasks, **{name: _part(name, one, result, board) for name, one in parts.items()}}
        return result.model_copy(
            update={"tasks": tasks, "fingerprint": result_fingerprint(result.model, tasks, result.run)}
        )
    whole = board.tasks.keys() - result.tasks.keys()
    ready = all(sets_of(name, task) == [sets[name]] for name, task in result.tasks.items() if name in sets)
    return regroup(result).result if ready and whole & set(sets.values()) else result


def _part(name: str, one: str, result: Result, board: Board) -> TaskResult:
    task = result.tasks[one]
    asked = {metric.metric for metric in board.metrics if metric.task == name} | {*(board.tasks[name].scorers or ())}
    metrics = {metric: value for metric, value in task.metrics.items() if metric in asked}
    return task.model_copy(update={"metrics": metrics, "samples_of": [one]})


def renamed(board: Board) -> Board:
    """The board's tasks, metrics and order by question set; its entries stay as they are.

    Raises:
        UserError: if it pins two tasks of one question set to different rows or settings.
    """
    groups: dict[str, dict[str, TaskRule]] = {}
    for name, rule in board.tasks.items():
        groups.setdefault(question_sets().get(name, name), {})[name] = rule
    tasks = {one: _one_rule(one, rules) for one, rules in groups.items()}
    metrics: dict[str, BoardMetric] = {}
    for metric in sorted(board.metrics, key=lambda metric: metric.axis is None):
        metrics.setdefault(current_key(metric.key), metric)  # of two that are one now, the one that is ranked by
    kept = [m.model_copy(update={"key": current_key(m.key)}) for m in board.metrics if m in metrics.values()]
    rules = board.rules.model_copy(update={"sort": current_key(board.rules.sort)} if "/" in board.rules.sort else {})
    return board.model_copy(update={"tasks": tasks, "metrics": kept, "rules": rules})


def _one_rule(one: str, rules: Mapping[str, TaskRule]) -> TaskRule:
    first, *others = rules.values()
    pins: dict[str, object] = {}
    for field in _PINS:
        values = [value for rule in rules.values() if (value := getattr(rule, field)) is not None]
        if any(value != values[0] for value in values):
            raise UserError(f"the board pins {' and '.join(rules)}, which ask {one}, to another {field}")
        pins[field] = values[0] if values else None
    scorers = {metric: sha for rule in rules.values() for metric, sha in (rule.scorers or {}).items()}
    scorer = first.scorer if not others else None
    return first.model_copy(update={**pins, "scorers": scorers or None, "scorer": scorer})
