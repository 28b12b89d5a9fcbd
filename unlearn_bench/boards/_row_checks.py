"""Do the samples of a task ask the rows of its dataset: each once, with its own reference, cluster and role?"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from unlearn_bench.boards.known_rows import Digests, KnownRows, sample_digest
from unlearn_bench.comparison.question_sets import OF_OTHER_TASKS
from unlearn_bench.results import cluster_info, sets_of
from unlearn_bench.schema import Result, Sample, TaskResult
from unlearn_bench.tasks_index import task_definitions

_MAX_SHOWN = 10
Found = tuple[str, str]


def problems(task: TaskResult, samples: Sequence[Sample]) -> Iterator[Found]:
    """What the samples themselves contradict: counts, repeated rows, flags, clusters, roles."""
    if len(samples) != task.n:
        yield "rows", f"n is {task.n}, and there are {len(samples)} samples"
        if not samples:
            return
    key = _question if task.dataset.name == OF_OTHER_TASKS else _identity
    repeated = [row for row, count in Counter(map(key, samples)).items() if count > 1]
    if repeated:
        yield "duplicate_row", f"the row {repeated[0][:80]!r} is there more than once"
    wrong = [s for s in samples if task.role not in (s.role, "fluency")]
    if wrong:
        yield "role", f"sample {wrong[0].id[:60]} is of role {wrong[0].role}, the task is of {task.role}"
    yield from _flag_problems(task, samples)
    cuts = dict(sorted(Counter(kind for sample in samples for kind in sample.cut).items()))
    if cuts != task.cut:
        yield "cut", f"answers that were cut: {task.cut}; the samples say {cuts}"
    found = cluster_info(samples)
    if (task.clusters and task.clusters.n) != (found and found.n):
        yield "clusters", f"clusters are {task.clusters and task.clusters.n}; the samples say {found and found.n}"


def _identity(sample: Sample) -> str:
    return sample.id


def _question(sample: Sample) -> str:
    return sample.question


def _flag_problems(task: TaskResult, samples: Sequence[Sample]) -> Iterator[Found]:
    """Whether the flags for empty and degenerate answers follow from the responses."""
    from unlearn_bench.text.degenerate import degenerate, is_empty

    for name, claimed, flags, found in (
        (
            "empty",
            task.empty,
            [s.empty for s in samples],
            [s.missing is None and is_empty(s.response) for s in samples],
        ),
        (
            "degenerate",
            task.degenerate,
            [s.degenerate for s in samples],
            [None if s.missing else degenerate(s.response) for s in samples],
        ),
    ):
        count = sum(map(bool, found))
        if claimed != count:
            yield name, f"{name} is {claimed}; the responses say {count}"
        elif flags != found:
            first = next(s.id for s, a, b in zip(samples, flags, found, strict=True) if a != b)
            yield name, f"sample {first[:60]}: the flag {name} is not what the response says"


def dataset_problems(
    name: str, result: Result, samples: Mapping[str, Sequence[Sample]], known: KnownRows
) -> list[Found] | None:
    """Where a task's samples are not the rows of its dataset; None where nothing is known of the dataset.

    Args:
        name: The task.
        result: The result that holds it.
        samples: Samples by task.
        known: Where rows are looked up.
    """
    task = result.tasks[name]
    if task.dataset.name == OF_OTHER_TASKS:
        return _of_other_tasks(name, result, samples, known)
    asked = task_definitions().get(name)
    if asked is not None and task.dataset.name != asked["dataset"]:
        return [("dataset", f"the task asks rows of {asked['dataset']}, not of {task.dataset.name[:40]!r}")]
    rows = known.of(name, task)
    if rows is None:
        return None
    found = [("row", f"{row[:60]}: {why}") for row, why in _unlike(samples[name], rows)]
    asked_rows = {sample.id for sample in samples[name]}
    missing = [row for row in rows if row not in asked_rows]
    if missing and result.run.get("limit") in (None, 0):
        found.append(("missing_row", f"{len(missing)} of {len(rows)} rows are not asked, {missing[0]!r} among them"))
    return shortened(found)


def _unlike(samples: Iterable[Sample], rows: Digests) -> Iterator[tuple[str, str]]:
    for sample in samples:
        if sample.id not in rows:
            yield sample.id, "the dataset holds no such row"
        elif rows[sample.id] != sample_digest(sample):
            yield sample.id, "its question, reference, cluster or role is not that of the dataset's row"


def _of_other_tasks(
    name: str, result: Result, samples: Mapping[str, Sequence[Sample]], known: KnownRows
) -> list[Found] | None:
    """`ls` scores every question of the run's other tasks once; their samples are checked by themselves."""
    from unlearn_bench.hashing import sha256_json

    dataset = result.tasks[name].dataset
    rest = {other: task for other, task in result.tasks.items() if other != name}
    alone = {sets[0]: other for other, task in rest.items() if len(sets := sets_of(other, task)) == 1}
    others = {one: alone[one] for one in dataset.split.split("+") if alone.get(one, name) != name}
    if sha256_json({one: result.tasks[other].dataset.sha256 for one, other in others.items()}) != dataset.sha256:
        return [("dataset", "its rows are not those of the questions that it names")]
    if any(known.of(other, result.tasks[other]) is None for other in others.values()):
        return None
    rows = {sample_digest(sample) for other in others.values() for sample in samples.get(other, ())}
    questions = {sample.question for other in others.values() for sample in samples.get(other, ())}
    found = [
        ("row", f"{s.id[:60]}: no other task of the run asks it so")
        for s in samples[name]
        if sample_digest(s) not in rows
    ]
    missing = len(questions - {sample.question for sample in samples[name]})
    if missing and result.run.get("limit") in (None, 0):
        found.append(("missing_row", f"{missing} questions of the other tasks are not there"))
    return shortened(found)


def shortened(found: Iterable[Found], most: int = _MAX_SHOWN) -> list[Found]:
    """The first of many problems, and how many more there are."""
    found = list(found)
    rest = len(found) - most
    return found if rest <= 0 else [*found[:most], (found[0][0], f"… and {rest} more samples")]
