"""Points of the forget-retain curve: the model in training, scored in memory with the tasks of `run`."""

import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.chat_template import DATE
from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from unlearn_bench.tokens import Prompts


class Asked(NamedTuple):
    """How questions are asked: fields of `TrainConfig`."""

    style: str = "auto"
    thinking: str = "model"
    template_date: str = DATE


Scores = Callable[["PreTrainedModel", "PreTrainedTokenizerBase", int], Mapping[str, float]]


def curve_scores(
    tasks: Sequence[str], *, limit: int, asked: Asked | None = None, data_dir: str | None = None, batch_size: int = 32
) -> Scores:
    """Make the function that the trainer calls at each point.

    Args:
        tasks: Names of our tasks and groups.
        limit: Rows of each task: a point must cost little beside the steps between two points.
        asked: How questions are asked, as in the training.
        data_dir: A folder with the datasets, in place of the hub, as in the training.
        batch_size: Answers generated at once.

    Raises:
        UserError: for an unknown task, one that is not ours, or data that is not there, before training starts.
    """
    from unlearn_bench.harness.task_loading import load_tasks

    asked = asked or Asked()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    settings = {"prompt": asked.style, **({"data_dir": data_dir} if data_dir else {})}
    for name, task in load_tasks(list(tasks), settings)[0].items():
        if not hasattr(task, "scorers"):
            raise UserError(f"--eval-tasks {name}: a point of the curve is scored by this project's own tasks only")

    from unlearn_bench.tokens import Prompts

    def scores(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", step: int) -> dict[str, float]:
        del step
        kept = model.generation_config
        try:
            prompts = Prompts(tokenizer, asked.style, thinking=asked.thinking, date=asked.template_date)
            return _score(model, prompts, tasks, settings, limit, batch_size)
        finally:
            model.generation_config = kept

    return scores


def _score(
    model: "PreTrainedModel",
    prompts: "Prompts",
    names: Sequence[str],
    settings: Mapping[str, str],
    limit: int,
    batch_size: int,
) -> dict[str, float]:
    import lm_eval
    from lm_eval.tasks import TaskManager

    from unlearn_bench.harness.hf_model import UnlearnLM
    from unlearn_bench.harness.task_loading import load_tasks

    tasks, _ = load_tasks(list(names), settings)
    for task in tasks.values():
        task.thinking_markers = prompts.thinking_markers
    lm = UnlearnLM(model, prompts.tokenizer, prompts=prompts, batch_size=batch_size)
    lm._rank, lm._world_size = 0, 1  # only the main process scores; the others must not be waited for
    with contextlib.redirect_stderr(io.StringIO()):  # a bar for each task, beside the one of the training
        output = lm_eval.simple_evaluate(
            model=lm,
            tasks=list(tasks.values()),
            task_manager=TaskManager(include_defaults=False),
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=prompts.template is not None,
        )
    found = {}
    for name, task in sorted(tasks.items()):
        samples = [entry["filtered_resps"][0].sample for entry in output["samples"][name]]
        values = {metric: value.value for metric, value in task.aggregate(samples).items()}
        found |= {f"{name}/{metric}": value for metric, value in values.items() if value is not None}
    return found
