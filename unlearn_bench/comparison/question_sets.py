"""Results by question set: tasks that are names for parts of one question set become one task.

Up to version 0.1 nano_kfr, nano_ls and nano_rouge asked the same questions, each with a row an answer in samples.jsonl;
now nano_forget asks them, and those names only select metrics. Tasks are put together where they asked the same rows in
the same way and hold the same answers; nothing is computed again.
"""

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from unlearn_bench.comparison._rules import Gate, MetricGate
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results import result_fingerprint, samples_by_task, samples_sha256
from unlearn_bench.schema import Response, Result, Sample, ScorerInfo, TaskResult
from unlearn_bench.tasks_index import question_sets

OF_OTHER_TASKS = "tasks"  # the dataset's name where a task scores the answers of the run's other tasks
_ASKED = ("version", "role", "prompt", "generation", "n", "dataset")
_ANSWER = ("question", "reference", "cluster", "response", "raw_response", "thinking", "cut", "missing")
_EVIDENCE = Sample.model_fields.keys() - Response.model_fields.keys() - {"empty", "degenerate", "scores", "unscored"}


def current_key(key: str) -> str:
    """A metric's key, "task/metric", with the question set in place of a name for a part of it.

    >>> current_key("some_task/kfr")
    'some_task/kfr'
    """
    task, _, metric = key.partition("/")
    return f"{question_sets().get(task, task)}/{metric}"


@dataclass(frozen=True)
class Regrouped:
    """A result by question set.

    Attributes:
        samples: Its samples, one row an answer; None where none were given.
        renamed: Task to the question set that it became a part of.
        left: Question set to why the tasks that take it stay apart.
    """

    result: Result
    samples: list[Sample] | None
    renamed: dict[str, str]
    left: dict[str, str]


def regroup(
    result: Result, samples: Sequence[Sample] | None = None, aliases: Mapping[str, str] | None = None
) -> Regrouped:
    """Put the tasks of a result together that are names for parts of one question set.

    Args:
        result: The result; not changed.
        samples: Its samples; None where they are not at hand.
        aliases: Task to question set; those of this package's task files if None.
    """
    aliases = question_sets() if aliases is None else aliases
    of_task = None if samples is None else samples_by_task(result, samples)
    groups: dict[str, list[str]] = {}
    for name in result.tasks:
        groups.setdefault(aliases.get(name, name), []).append(name)
    groups = {one: names for one, names in groups.items() if names != [one]}
    left = {one: reason for one, names in groups.items() if (reason := _unlike(result, names, of_task))}
    groups = {one: names for one, names in groups.items() if one not in left}
    if not groups:
        return Regrouped(result, None if samples is None else list(samples), {}, left)
    renamed = {name: one for one, names in groups.items() for name in names if name != one}
    tasks: dict[str, TaskResult] = {}
    for name, task in result.tasks.items():
        one = renamed.get(name, name)
        if one not in tasks:
            tasks[one] = _merged([result.tasks[n] for n in groups[one]]) if one in groups else task
    own: dict[str, list[Sample]] = {}
    if of_task is not None:
        own = {one: _rows(one, [of_task[name] for name in names]) for one, names in groups.items()}
    for name in [name for name in tasks if tasks[name].dataset.name == OF_OTHER_TASKS]:
        tasks[name] = _over_sets(name, result, tasks, renamed, own, of_task)
    fresh = None if samples is None else _in_order(samples, tasks, renamed, own)
    return Regrouped(_rebuilt(result, tasks, fresh), fresh, renamed, left)


def by_question_set(loaded: LoadedResult) -> LoadedResult:
    """A result with its samples by question set; see `regroup`."""
    found = regroup(loaded.result, loaded.samples)
    shown = loaded.shown and frozenset(map(current_key, loaded.shown))
    return replace(loaded, result=found.result, held=found.samples, shown=shown)


def in_one_vocabulary(results: Sequence[LoadedResult], asked: Iterable[str] = ()) -> list[LoadedResult]:
    """Results by question set, where they share more tasks so, or where it is question sets that are asked for.

    Args:
        results: At least one.
        asked: Keys, "task/metric", that a gate or a command line names.
    """
    names = [set(loaded.result.tasks) for loaded in results]
    sets = set(question_sets().values()) & {key.partition("/")[0] for key in asked}
    if not (names[0] != set.intersection(*names) or any(names[0] != other for other in names) or sets - names[0]):
        return list(results)
    if not any(found & question_sets().keys() for found in names):
        return list(results)
    grouped = [by_question_set(loaded) for loaded in results]
    shared = set.intersection(*(set(loaded.result.tasks) for loaded in grouped))
    return grouped if shared - set.intersection(*names) else list(results)


def renamed_gate(gate: Gate, keys: Collection[str]) -> tuple[Gate, list[str]]:
    """A gate whose names are those of question sets where only these fit; and what was renamed, for the reader."""
    moved = {name: current_key(name) for name in gate.unused(keys) if fits(current_key(name), keys)}
    metrics: dict[str, MetricGate] = {}
    for name, rule in gate.metrics.items():
        metrics.setdefault(moved.get(name, name), rule)
    notes = [f"the gate's {name} is now {new}; the old name works until 0.3" for name, new in moved.items()]
    return gate.model_copy(update={"metrics": metrics}) if moved else gate, notes


def fits(name: str, keys: Collection[str]) -> bool:
    """Whether a name, * and ? allowed, fits a key."""
    return name in keys or bool(fnmatch.filter(keys, name))


def _in_order(
    samples: Sequence[Sample],
    tasks: Mapping[str, TaskResult],
    renamed: Mapping[str, str],
    own: Mapping[str, Sequence[Sample]],
) -> list[Sample]:
    """The rows of each question set, in the order in which the sets first appear."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        one = renamed.get(sample.task, sample.task)
        if one in own:
            found.setdefault(one, list(own[one]))
        elif one not in tasks or not tasks[one].samples_of:  # else its scores are with the answers themselves
            found.setdefault(one, []).append(sample)
    return [sample for rows in found.values() for sample in rows]


def _rebuilt(result: Result, tasks: dict[str, TaskResult], samples: Sequence[Sample] | None) -> Result:
    changes = {"tasks": tasks, "fingerprint": result_fingerprint(result.model, tasks, result.run)}
    if samples is not None:
        changes["samples_sha256"] = samples_sha256(samples)
    return result.model_copy(update=changes)


def _unlike(result: Result, names: Sequence[str], of_task: Mapping[str, Sequence[Sample]] | None) -> str | None:
    """Why tasks cannot be one, or None: asked otherwise, other answers, or two values of one metric."""
    first = result.tasks[names[0]]
    for name in names[1:]:
        task = result.tasks[name]
        other = [field for field in _ASKED if getattr(task, field) != getattr(first, field)]
        if other:
            return f"{names[0]} and {name} were asked with another {', '.join(other)}"
        shared = task.metrics.keys() & first.metrics.keys()
        metrics = [m for m in shared if (task.metrics[m], _made_by(task, m)) != (first.metrics[m], _made_by(first, m))]
        if metrics:
            return f"{names[0]} and {name} have other values of {', '.join(sorted(metrics))}"
    if of_task is None:
        return None
    answers = [{s.id: [getattr(s, field) for field in _ANSWER] for s in of_task[name]} for name in names]
    if any(len(rows) != first.n for rows in answers):
        return f"the samples of {' and '.join(names)} do not hold each of {first.n} rows once"
    return None if all(rows == answers[0] for rows in answers) else f"{' and '.join(names)} hold other answers"


def _merged(tasks: Sequence[TaskResult]) -> TaskResult:
    infos = [task.scorer for task in tasks]
    metrics = {metric: _made_by(task, metric) for task in tasks for metric in (task.scorer.metrics or task.metrics)}
    scorer = ScorerInfo(
        profile=infos[0].profile,
        parts={name: part for info in infos for name, part in info.parts.items()},
        options={name: value for info in infos for name, value in info.options.items()},
        versions={name: version for info in infos for name, version in info.versions.items()},
        metrics=metrics,
        fingerprint=sha256_json(metrics),
    )
    values = {name: value for task in tasks for name, value in task.metrics.items()}
    return tasks[0].model_copy(update={"samples_of": [], "scorer": scorer, "metrics": values})


def _made_by(task: TaskResult, metric: str) -> str | None:
    """Fingerprint of what made a metric; results of version 0.1 name all scorers of a task together."""
    return task.scorer.metrics.get(metric) if task.scorer.metrics else task.scorer.fingerprint


def _rows(one: str, lists: Sequence[Sequence[Sample]]) -> list[Sample]:
    """One sample an answer, with the evidence and the scores of all."""
    by_id: dict[str, list[Sample]] = {}
    for samples in lists:
        for sample in samples:
            by_id.setdefault(sample.id, []).append(sample)
    return [_joined(same).model_copy(update={"task": one}) for same in by_id.values()]


def _joined(same: Sequence[Sample]) -> Sample:
    first = same[0]
    scores = {name: value for sample in same for name, value in sample.scores.items()}
    unscored = {name: why for sample in same for name, why in sample.unscored.items() if name not in scores}
    evidence = {f: next((v for s in same if (v := getattr(s, f)) is not None), None) for f in sorted(_EVIDENCE)}
    return first.model_copy(update={**evidence, "scores": scores, "unscored": unscored})


def _over_sets(
    name: str,
    result: Result,
    tasks: Mapping[str, TaskResult],
    renamed: Mapping[str, str],
    own: dict[str, list[Sample]],
    of_task: Mapping[str, Sequence[Sample]] | None,
) -> TaskResult:
    """A task over all answers of the run (`ls`) on the question sets; its scores go to the answers themselves."""
    task = tasks[name]
    said = task.dataset.split.split("+")
    sets = list(dict.fromkeys(renamed.get(other, other) for other in said))
    if any(one not in tasks for one in sets):
        return task
    hashes = {one: tasks[one].dataset.sha256 for one in sets}
    dataset = task.dataset.model_copy(update={"split": "+".join(sets), "sha256": sha256_json(hashes)})
    if of_task is None or task.samples_of:
        return task.model_copy(update={"dataset": dataset, "samples_of": sets if task.samples_of else []})
    places = {row.question: (one, i) for one in reversed(sets) for i, row in enumerate(own.get(one, ()))}
    mine = [(sample, places.get(sample.question)) for sample in of_task[name]]
    if any(place is None or own[place[0]][place[1]].response != sample.response for sample, place in mine):
        return task.model_copy(update={"dataset": dataset})
    for sample, (one, i) in mine:
        own[one][i] = _joined([own[one][i], sample])
    return task.model_copy(update={"dataset": dataset, "samples_of": sets})
