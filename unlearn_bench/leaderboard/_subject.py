"""What `check`, `compare` and `report` look at: a result with its samples, named on the command line.

A name is a result.json (or its folder), or `board.json#NAME` for an entry of a leaderboard.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _checks, _samples, _store, _text
from unlearn_bench.leaderboard.board import Board, result_digest
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import MetricValue, Result, Sample, TaskResult

_SHOWN = 30


@dataclass(frozen=True)
class Subject:
    """A result under the name it is shown by; `samples` is None where they are not at hand."""

    name: str
    result: Result
    samples_path: Path | None = None
    board: Board | None = field(default=None, repr=False)

    @cached_property
    def samples(self) -> list[Sample] | None:
        """The samples, made sure to be this result's."""
        return None if self.samples_path is None else _samples.matching(self.result, self.samples_path)

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


def load(text: str, samples: Path | None = None) -> Subject:
    """Load what a command line names.

    Raises:
        UserError: if it cannot be read, or holds no such entry.
    """
    path, hash_mark, name = text.partition(".json#")
    if hash_mark:
        return _entry(Path(f"{path}.json"), name, samples)
    result, plain = _read(Path(text))
    problems = _checks.document_problems(result, plain)
    problems = [p for p in problems if p.code != "dead_adapter"]
    if problems:
        raise UserError(f"result {text} cannot be true", hint="\n  ".join(map(str, problems[:10])))
    return Subject(result.model.name, result, samples or _samples.beside(Path(text)))


def _read(path: Path) -> tuple[Result, object]:
    try:
        return _store.read_result(path)
    except UserError:
        names = _entries(path)
        if names is None:
            raise
        shown = _text.shown(str(path))
        some = ", ".join(map(_text.shown, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
        raise UserError(
            f"{shown} is a leaderboard: name one of its {len(names)} entries, as {shown}#NAME",
            hint=f"names: {some}" if names else None,
        ) from None


def _entries(path: Path) -> list[str] | None:
    """The names of a leaderboard's entries; None if the file is no leaderboard."""
    if path.is_dir():
        return None
    try:
        return [entry.name for entry in _store.read_board(path).entries]
    except UserError:
        return None


def distinct(subjects: Sequence[Subject]) -> list[Subject]:
    """The same subjects, told apart by a number where they share a name."""
    names = [subject.name for subject in subjects]
    seen: Counter[str] = Counter()
    found = []
    for subject in subjects:
        seen[subject.name] += 1
        shared = names.count(subject.name) > 1
        found.append(replace(subject, name=f"{subject.name} ({seen[subject.name]})") if shared else subject)
    return found


def _entry(path: Path, name: str, samples: Path | None) -> Subject:
    board = _store.read_board(path)
    entry = board.entry(name)
    if entry is None:
        if not board.entries:
            raise UserError(f"leaderboard {path} has no entries")
        raise did_you_mean("entry", name, [e.name for e in board.entries])
    if result_digest(entry.result) != entry.result_sha256:
        raise UserError(
            f"entry {name!r} of {path}: its result is not the one that was submitted (result_sha256 differs)",
            hint=f"`unlearn-bench verify {path}` says what the board's entries are worth",
        )
    kept = samples or _samples.kept(path, entry.result.samples_sha256)
    return Subject(entry.name, entry.result, kept, board)


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
    one, two = (_checks.generation_rules(task.generation) for task in (old, new))
    found += [f"generation {k}: {one.get(k)} and {two.get(k)}" for k in _checks.different_keys(one, two)]
    return found


def metric_difference(old: TaskResult, new: TaskResult, metric: str) -> str | None:
    """Why one metric of a task cannot be compared though the task can: other scorers made it; None if it can."""
    a, b = (_metric_fingerprint(task, metric) for task in (old, new))
    return None if a == b else f"scorer fingerprint: {_short(a)} and {_short(b)}{_scorer_hint(old, new)}"


def _metric_fingerprint(task: TaskResult, metric: str) -> str:
    return task.scorer.metrics.get(metric, task.scorer.fingerprint)


def _scorer_hint(old: TaskResult, new: TaskResult) -> str:
    told = []
    for kind in ("versions", "parts", "options"):
        one, two = getattr(old.scorer, kind), getattr(new.scorer, kind)
        told += [f"{k} {one.get(k)} and {two.get(k)}" for k in _checks.different_keys(one, two)]
    return f" ({'; '.join(told)})" if told else " (the same versions and parts by name: their models differ)"


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
