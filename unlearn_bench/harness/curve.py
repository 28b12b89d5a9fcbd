"""Points of the forget-retain curve: the model in training, scored in memory with the tasks of `run`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.harness.spec import DataSettings, PromptSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Scores = Callable[["PreTrainedModel", "PreTrainedTokenizerBase", int], Mapping[str, float]]


def curve_scores(
    tasks: Sequence[str],
    *,
    limit: int,
    data: DataSettings = DataSettings(),
    prompts: PromptSettings = PromptSettings(),
    batch_size: int = 32,
) -> Scores:
    """Make the function that the trainer calls at each point; only the main process calls it.

    Args:
        tasks: Names of our tasks and groups.
        limit: Rows of each task: a point must cost little compared with the steps between two points.
        data: Where rows come from, as in the training.
        prompts: How questions are asked, as in the training.
        batch_size: Answers generated at once.

    Raises:
        UserError: for an unknown task, a task of another project, or missing data, before training starts.
    """
    from unlearn_bench.harness.plan import make_plan

    plan = make_plan(tasks, data=data, limit=limit)
    plan.require_parts()
    for name in plan.stock.tasks if plan.stock else ():
        raise UserError(f"--eval-tasks {name}: a point of the curve is scored by this project's own tasks only")

    def scores(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", step: int) -> dict[str, float]:
        del step
        from unlearn_bench.harness.backends import in_training
        from unlearn_bench.harness.observe import observe
        from unlearn_bench.harness.scoring import metrics, score

        kept = model.generation_config
        try:
            judged = in_training(model, tokenizer, prompts, batch_size=batch_size)
            scored = score(plan, observe(plan, judged, prompts))
        finally:
            model.generation_config = kept
        samples = [sample for name in scored for sample in scored[name]]
        values = {name: metrics(plan, name, samples, resamples=0) for name in sorted(plan.tasks)}
        return {
            f"{name}/{metric}": value.value
            for name, numbers in values.items()
            for metric, value in numbers.items()
            if value.value is not None
        }

    return scores
