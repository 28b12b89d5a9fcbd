"""Names of tasks become a plan: which questions are asked once, which scorers score them, which tasks are reported.

    names -> task files -> tasks (what is told) -> question sets (what is asked)

Tasks that take the samples of one question set share its answers. lm-eval is imported only for names of other tasks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from unlearn_bench.data import splits_of
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import resolve
from unlearn_bench.harness.definitions import (
    RUN,
    Task,
    asked_dataset,
    asked_rows,
    read_task,
    reads_answers,
    with_companions,
)
from unlearn_bench.harness.spec import DEFAULT, DataSettings, Scoring
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import DatasetInfo, Role, Row
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts
from unlearn_bench.tasks_index import expand_names, names_in, read_groups, read_tasks

if TYPE_CHECKING:
    from unlearn_bench.harness.stock import StockTasks


@dataclass(frozen=True)
class QuestionSet:
    """Questions that are asked once, and all that is wanted of their answers.

    Attributes:
        task: How they are asked, with the command line's settings.
        rows: What is asked, `limit` applied.
        scorers: Of all tasks that take its samples, each once.
        probes: The ways in which its rows are asked: those that the scorers read, and those that the tasks name.
        judged: The dataset that chooses the offline profile's perplexity model.
    """

    name: str
    task: Task
    rows: Sequence[Row]
    scorers: tuple[str, ...]
    probes: frozenset[str]
    judged: str

    def parts(self) -> Parts:
        """The parts of the scoring profile; equal settings share one set of models."""
        return self.task.scoring.made_for(self.judged)


@dataclass(frozen=True)
class Plan:
    """What a run asks and reports.

    Attributes:
        question_sets: By name, in the order of dataset, role and name.
        tasks: Our tasks by name.
        samples_of: Task to the names of the question sets whose samples it scores.
        stock: lm-eval's tasks; None where there are none.
        notes: What the reader should know of tasks that were left out.
        summaries: Which numbers over several roles are told; None: all.
    """

    question_sets: Mapping[str, QuestionSet] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    samples_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stock: "StockTasks | None" = None
    notes: tuple[str, ...] = ()
    summaries: frozenset[str] | None = None

    def require_parts(self) -> None:
        """Find every model that scores: one that is missing must not cost a generation.

        Raises:
            UserError: for a part that cannot be loaded; its hint says which option does without it.
        """
        for question_set in self.question_sets.values():
            profiles.require(question_set.parts(), question_set.scorers)

    def parts(self, task: str) -> Parts:
        """The parts that score a task."""
        return self.question_sets[self.samples_of[task][0]].parts()

    def dataset_info(self, task: str) -> DatasetInfo:
        """Identity of the rows that a task's numbers rest on."""
        names = self.samples_of[task]
        if self.tasks[task].samples_of != RUN or names == (task,):
            return asked_dataset(self.question_sets[names[0]].task).info()
        hashes = {name: asked_dataset(self.question_sets[name].task).info().sha256 for name in names}
        return rows_of_several(hashes)


def rows_of_several(hashes: Mapping[str, str]) -> DatasetInfo:
    """Identity of the rows of several question sets of one run.

    Args:
        hashes: Question set to the hash of its rows.
    """
    return DatasetInfo(
        name="tasks", split="+".join(hashes), revision=None, sha256=sha256_json(hashes), source="this run"
    )


def make_plan(
    names: Sequence[str],
    *,
    data: DataSettings = DataSettings(),
    scoring: Scoring = Scoring(),
    generation: Mapping[str, Any] | None = None,
    limit: float | None = None,
    include_path: str | None = None,
    metrics: Sequence[str] = (),
) -> Plan:
    """Find what is asked, and load its rows.

    Args:
        names: Names of tasks and groups, or patterns (`nano_*`).
        data: Where rows come from, over what the task files say.
        scoring: How answers are scored, over what the task files say.
        generation: Settings that override those of the task files.
        limit: Only the first questions of each task, or below 1 this share of them.
        include_path: A folder of further task files.
        metrics: As `RunSpec.metrics`.

    Raises:
        UserError: for an unknown name, a metric that none of the tasks has, data that is missing, or tasks that
            contradict each other.
    """
    found, stock = find_tasks(names, include_path)
    tasks = {
        task.name: replace(
            task,
            data=data.over(task.data),
            scoring=scoring.over(task.scoring),
            generation={**task.generation, **(generation or {})},
        )
        for task in found
    }
    if metrics:
        tasks = _only(tasks, metrics, stock)
    check_forget_split(data.forget_split, (task.dataset for task in tasks.values()))
    tasks, notes = _without_missing(tasks)
    samples_of, asked = _asked(tasks, limit)
    for task, rows in asked.values():  # judges score each question set once, under the task that asks it
        judges = profiles.judges_for(task.scoring.parts, rows[0].role, task.scorers)
        tasks[task.name] = replace(task, scorers=(*task.scorers, *judges))
    sets = {name: _question_set(name, asked[name], tasks, samples_of) for name in asked}
    told = None if DEFAULT in metrics or not metrics else frozenset(metrics)
    return Plan(sets, tasks, samples_of, stock, tuple(notes), told)


def _only(tasks: Mapping[str, Task], metrics: Sequence[str], stock: "StockTasks | None") -> dict[str, Task]:
    """The tasks with the scorers of some metrics; those that have none of them are left out."""
    if stock is not None:
        raise UserError("--metrics: lm-eval's own tasks have theirs", hint="run them apart, without --metrics")
    named = resolve(name for name in metrics if name != DEFAULT)
    chosen: dict[str, Task] = {}
    for name, task in tasks.items():
        own = resolve(task.scorers)
        wanted = [s for s in (*own, *resolve(task.on_request)) if s in named or (DEFAULT in metrics and s in own)]
        if wanted:
            companions = [s for s in with_companions(wanted) if s in (*own, *wanted)]
            chosen[name] = replace(task, scorers=tuple(companions))
    for name in filter(DEFAULT.__ne__, metrics):
        if not any(set(resolve([name])) & set(resolve(task.scorers)) for task in chosen.values()):
            raise UserError(
                f"--metrics {name}: no task of the run has it", hint="`unlearn-bench explain NAME` says what it is for"
            )
    return chosen


def check_forget_split(chosen: str | None, datasets: Iterable[str]) -> None:
    """An option that no task reads is a mistake.

    Args:
        chosen: The forget set; None where none was.
        datasets: Those that the tasks ask.

    Raises:
        UserError: if none of them has that forget set.
    """
    if chosen and not any(chosen in splits_of(dataset, "forget") for dataset in datasets):
        raise UserError(
            f"--forget-split {chosen}: none of the tasks asks a dataset with that forget set", hint="leave it out"
        )


def _without_missing(tasks: Mapping[str, Task]) -> tuple[dict[str, Task], list[str]]:
    """The tasks without those optional ones whose rows cannot be loaded, and why each was left out."""
    kept, notes = {}, []
    for name, task in tasks.items():
        try:
            if task.optional:
                asked_dataset(task)
            kept[name] = task
        except UserError as error:
            notes.append(f"{name} was left out: {error}")
    return kept, notes


def _asked(
    tasks: Mapping[str, Task], limit: float | None
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[Task, list[Row]]]]:
    """Task to its question sets; and question set to who asks it, and its rows."""
    own: dict[str, Task] = {}
    for task in tasks.values():
        if task.samples_of != RUN:
            first = own.setdefault(task.question_set, task)
            if _how(first) != _how(task):
                raise UserError(
                    f"tasks {first.name} and {task.name} ask or score {task.question_set} with other settings",
                    hint="run them apart",
                )
    for task in tasks.values():
        if task.samples_of == RUN and not own:
            own = {task.name: task}
    rows = {name: asked_rows(task, limit) for name, task in own.items()}
    roles = get_args(Role)
    order = sorted(own, key=lambda name: (own[name].dataset, roles.index(rows[name][0].role), name))
    answered = tuple(name for name in order if reads_answers(own[name]))
    samples_of = {task.name: answered if task.samples_of == RUN else (task.question_set,) for task in tasks.values()}
    return samples_of, {name: (own[name], rows[name]) for name in order}


def _how(task: Task) -> tuple[object, ...]:
    """All that tasks over one question set must have in common."""
    asked = (task.dataset, task.split, task.question, dict(task.generation), task.data, task.scoring)
    return (*asked, dict(task.prompts), task.reference_tokens)


def _question_set(
    name: str,
    asked: tuple[Task, Sequence[Row]],
    tasks: Mapping[str, Task],
    samples_of: Mapping[str, tuple[str, ...]],
) -> QuestionSet:
    task, rows = asked
    takers = [taker for taker in tasks.values() if name in samples_of[taker.name]]
    scorers = resolve(scorer for taker in takers for scorer in taker.scorers)
    # one task over several datasets has one judge for all of them
    together = {other for taker in takers for other in samples_of[taker.name]}
    judged = {other.dataset for other in tasks.values() if other.question_set in together} or {task.dataset}
    probes = frozenset(probe for scorer in scorers for probe in SCORERS.get(scorer).probes)
    probes |= {probe for taker in takers for probe in taker.probes}
    return QuestionSet(name, task, rows, tuple(scorers), probes, min(judged - {profiles.NANO}, default=profiles.NANO))


def find_tasks(names: Sequence[str], include_path: str | None = None) -> "tuple[list[Task], StockTasks | None]":
    """Our tasks and lm-eval's by name; a task that is named twice, or alone and in a group, is there once.

    Raises:
        UserError: for a name that neither this project nor lm-eval has, or a task that cannot be loaded.
    """
    ours = {str(config["task"]): config for config in read_tasks()}
    groups = read_groups()
    elsewhere = names_in(include_path) if include_path else frozenset()
    chosen: dict[str, Task] = {}
    others = []
    for name in expand_names(names, include_path):
        if name in elsewhere or (name not in ours and name not in groups):
            others.append(name)
            continue
        if name not in groups:
            task = read_task(ours[name])
            chosen[name] = replace(task, optional=task.optional and name not in names)  # not if asked for by its name
            continue
        chosen = {**{member: read_task(ours[member]) for member in groups[name]}, **chosen}
    if not others:
        return list(chosen.values()), None
    from unlearn_bench.harness.stock import load_stock

    more, stock = load_stock(others, include_path, asked=names)
    return list({**{task.name: task for task in more}, **chosen}.values()), stock


def distinct_rows(question_sets: Iterable[QuestionSet]) -> list[Row]:
    """The rows of several question sets, each question of a row once."""
    return list({(row.id, row.question): row for asked in question_sets for row in asked.rows}.values())
