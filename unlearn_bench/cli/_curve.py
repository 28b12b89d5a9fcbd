"""Points of the forget-retain curve: the model in training, scored in memory with the tasks of `run`."""

import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Scores = Callable[["PreTrainedModel", "PreTrainedTokenizerBase", int], Mapping[str, float]]


def curve_scores(tasks: Sequence[str], *, limit: int, batch_size: int = 32) -> Scores:
    """Make the function that the trainer calls at each point.

    Args:
        tasks: Names of our tasks and groups.
        limit: Rows of each task: a point must cost little beside the steps between two points.
        batch_size: Answers generated at once.

    Raises:
        UserError: for an unknown task, before training starts.
    """
    from unlearn_bench.evaluate import load_tasks

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    load_tasks(list(tasks), {})

    def scores(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", step: int) -> dict[str, float]:
        del step
        kept = model.generation_config
        try:
            return _score(model, tokenizer, tasks, limit, batch_size)
        finally:
            model.generation_config = kept

    return scores


def _score(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", names: Sequence[str], limit: int, batch_size: int
) -> dict[str, float]:
    import lm_eval

    from unlearn_bench.evaluate import load_tasks
    from unlearn_bench.lm_model import UnlearnLM

    tasks, manager = load_tasks(list(names), {})
    lm = UnlearnLM(model, tokenizer, batch_size=batch_size)
    lm._rank, lm._world_size = 0, 1  # only the main process scores; the others must not be waited for
    with contextlib.redirect_stderr(io.StringIO()):  # a bar for each task, beside the one of the training
        output = lm_eval.simple_evaluate(
            model=lm,
            tasks=list(tasks.values()),
            task_manager=manager,
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=bool(tokenizer.chat_template),
        )
    found = {}
    for name, task in sorted(tasks.items()):
        samples = [entry["filtered_resps"][0].sample for entry in output["samples"][name]]
        values = {metric: value.value for metric, value in task.aggregate(samples).items()}
        found |= {f"{name}/{metric}": value for metric, value in values.items() if value is not None}
    return found
