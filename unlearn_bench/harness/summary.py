"""The task of a result whose metrics are the summaries: over the question sets of all roles."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from unlearn_bench.evidence.profiles import summary_info
from unlearn_bench.harness.definitions import Task, asked_dataset
from unlearn_bench.harness.oracle import Oracle
from unlearn_bench.harness.plan import Plan, rows_of_several
from unlearn_bench.results import build_task_result, choose_samples
from unlearn_bench.schema import DatasetInfo, PromptInfo, Sample, TaskResult
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts
from unlearn_bench.summaries import NAME
from unlearn_bench.summaries.aggregate import summarise

VERSION = "1"


def reads_likelihoods(scorers: Iterable[str]) -> bool:
    """Whether one of some scorers reads likelihoods: summaries are made of them."""
    return any("likelihood" in SCORERS.get(name).probes for name in scorers)


def summarised(plan: Plan) -> dict[str, list[str]]:
    """Dataset to the question sets that its summaries are made of: its questions as they are, not paraphrased.

    A dataset of which no set asks likelihoods has none.
    """
    found: dict[str, list[str]] = {}
    for name, asked in plan.question_sets.items():
        if asked.task.question == "question" and asked.rows[0].role != "fluency":
            found.setdefault(asked.task.dataset, []).append(name)
    return {
        dataset: names
        for dataset, names in found.items()
        if any(reads_likelihoods(plan.question_sets[name].scorers) for name in names)
    }


def rows_of(plan: Plan) -> dict[str, DatasetInfo]:
    """The question sets that summaries are made of, and their rows."""
    return {name: info for names in summarised(plan).values() for name, info in _infos(plan, names).items()}


def _infos(plan: Plan, names: Iterable[str]) -> dict[str, DatasetInfo]:
    return {name: asked_dataset(plan.question_sets[name].task).info() for name in names}


def summary_tasks(
    plan: Plan,
    samples: Mapping[str, Sequence[Sample]],
    prompt_of: Callable[[Task], PromptInfo],
    oracle: Oracle | None,
) -> dict[str, TaskResult]:
    """The summaries of each dataset of a run, as a task of its name.

    Args:
        plan: What was asked.
        samples: Question set to its scored samples.
        prompt_of: How a task was asked.
        oracle: What the numbers that need one are held against.
    """
    everything = [sample for name in samples for sample in samples[name]]
    found = {}
    for dataset, names in summarised(plan).items():
        first = plan.question_sets[names[0]]
        options, prompt = first.task.scoring.options, prompt_of(first.task)
        found[f"{dataset}_{NAME}"] = summary_task(
            _infos(plan, names), everything, first.parts(), options, prompt=prompt, oracle=oracle, only=plan.summaries
        )
    return {name: task for name, task in found.items() if task.metrics}


def summary_task(
    datasets: Mapping[str, DatasetInfo],
    samples: Sequence[Sample],
    parts: Parts,
    options: Mapping[str, object],
    *,
    prompt: PromptInfo | None,
    oracle: Oracle | None,
    only: frozenset[str] | None = None,
) -> TaskResult:
    """The summaries of some question sets.

    Args:
        datasets: The question sets and their rows; each asks another role, or other rows.
        samples: The scored answers of the run.
        parts: The parts of the scoring profile.
        options: Options of scorers and summaries that differ from the defaults.
        prompt: How the model was asked.
        oracle: What the numbers that need one are held against.
        only: Which metrics are told; None: all.
    """
    own = choose_samples(list(datasets), samples)
    rows = rows_of_several({name: info.sha256 for name, info in datasets.items()})
    return build_task_result(
        VERSION,
        rows,
        prompt,
        {},
        summary_info(parts, options, None if oracle is None else (oracle.name, oracle.identity)),
        own,
        summarise(
            own,
            None if oracle is None or not oracle.samples else choose_samples(list(datasets), oracle.samples),
            options,
            only,
        ),
        role="fluency",
        samples_of=list(datasets),
    )
