"""From the answers to a plan's questions to the numbers of its tasks: score, collect, aggregate."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_bench.evidence import pipeline, profiles
from unlearn_bench.harness.definitions import Task
from unlearn_bench.harness.plan import Plan
from unlearn_bench.results import build_task_result, choose_samples
from unlearn_bench.schema import MetricValue, NeverKnew, PromptInfo, Response, Sample, TaskResult

if TYPE_CHECKING:
    from lm_eval.api.model import LM


def score(plan: Plan, observed: Mapping[str, Sequence[Response]]) -> dict[str, list[Sample]]:
    """Score the answers to each question set, with the scorers of all tasks that take them."""
    return {
        name: pipeline.score_responses(
            observed[name], question_set.scorers, question_set.parts(), question_set.task.scoring.options
        )
        for name, question_set in plan.question_sets.items()
    }


def collect(plan: Plan, samples: Mapping[str, list[Sample]], lm: "LM") -> dict[str, list[Sample]] | None:
    """Put the shares of several processes together, equal to what one process would have scored.

    Returns:
        Question set to its samples in the order of its rows; None on every process but the first.
    """
    if lm.world_size == 1:
        return dict(samples)
    shares = lm.gather_object(dict(samples), dst=0)
    if shares is None:
        return None
    whole = {}
    for name, question_set in plan.question_sets.items():
        count = len(question_set.rows)
        whole[name] = [shares[number % lm.world_size][name][number // lm.world_size] for number in range(count)]
        pipeline.settle(whole[name], question_set.scorers, question_set.task.scoring.options)
    return whole


def metrics(plan: Plan, task: str, samples: Sequence[Sample], **settings: Any) -> dict[str, MetricValue]:
    """A task's numbers, from the samples of the whole run; further settings are those of `pipeline.aggregate`."""
    asked = plan.tasks[task]
    own = choose_samples(plan.samples_of[task], samples)
    return pipeline.aggregate(own, asked.scorers, asked.scoring.options, **settings)


def aggregate(
    plan: Plan,
    samples: Mapping[str, Sequence[Sample]],
    prompt: Callable[[Task], PromptInfo],
    settings: Mapping[str, Any],
) -> dict[str, TaskResult]:
    """Every task's result, in the order of their names.

    Args:
        plan: What was asked.
        samples: Question set to its samples.
        prompt: How a task was asked.
        settings: What a result records of the generation in addition to the tasks' settings.
    """
    everything = [sample for name in samples for sample in samples[name]]
    found = {}
    for name, task in sorted(plan.tasks.items()):
        own = choose_samples(plan.samples_of[name], everything)
        found[name] = build_task_result(
            task.version,
            plan.dataset_info(name),
            prompt(task),
            {**task.generation, **settings},
            profiles.scorer_info(plan.parts(name), task.scorers, task.scoring.options),
            own,
            _with_never_knew(metrics(plan, name, everything), task.never_knew),
            samples_of=() if plan.samples_of[name] == (name,) else plan.samples_of[name],
        )
    return found


def _with_never_knew(values: dict[str, MetricValue], known: Mapping[str, NeverKnew]) -> dict[str, MetricValue]:
    """Numbers, each with what a model that never knew scores, where that is published."""
    return {name: value.model_copy(update={"never_knew": known.get(name)}) for name, value in values.items()}
