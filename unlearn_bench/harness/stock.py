"""Stock lm-eval tasks beside ours: asked and counted as `lm_eval run` does.

Few-shot seed 1234, no chat template unless it is asked for, standard errors, aggregates of groups, prompts cut on the
left. What could differ from a run of lm-eval is recorded per task (`settings`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

FEWSHOT_SEED = 1234  # lm-eval's default


@dataclass
class StockResults:
    """Numbers of stock tasks and of groups of them.

    Attributes:
        values: Task or group to metric to value; `acc_stderr` is the standard error of `acc`.
        better: Task to metric to whether higher is better, as the task declares it.
        n: Task to the number of questions that were asked.
        settings: Task to how it was asked.
        undefined: "TASK/METRIC" of numbers that are not finite, which a result cannot hold.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    better: dict[str, dict[str, bool]] = field(default_factory=dict)
    n: dict[str, int] = field(default_factory=dict)
    settings: dict[str, dict[str, str | int | float | bool | None]] = field(default_factory=dict)
    undefined: list[str] = field(default_factory=list)


def run_stock(
    lm: "LM",
    tasks: Mapping[str, "Task"],
    groups: Mapping[str, "Group"],
    *,
    limit: float | None,
    generation: Mapping[str, object],
    chat: bool,
    fewshot_seed: int = FEWSHOT_SEED,
) -> StockResults | None:
    """Ask stock tasks.

    Args:
        lm: The model.
        tasks: To be asked.
        groups: The groups that were named; one that holds other tasks too has no aggregate.
        limit: Only the first questions of each task, or below 1 this share of them.
        generation: Settings that override the tasks' own.
        chat: Whether prompts go through the chat template.
        fewshot_seed: Of the examples in the prompts.

    Returns:
        None on every process but the first.

    Raises:
        UserError: for a task that would run the code that the model writes.
    """
    unsafe = sorted(name for name, task in tasks.items() if getattr(task, "UNSAFE_CODE", False))
    if unsafe:
        raise UserError(
            f"task {unsafe[0]} runs code that the model writes", hint="lm_eval run --confirm_run_unsafe_code can do it"
        )
    import lm_eval
    from lm_eval.tasks import TaskManager

    whole = [group for group in groups.values() if _leaves(group) <= set(tasks)]
    covered = set().union(*(_leaves(group) for group in whole))
    output = lm_eval.simple_evaluate(
        model=lm,
        tasks=[*_outermost(whole), *(task for name, task in tasks.items() if name not in covered)],
        task_manager=TaskManager(include_defaults=False),
        limit=limit,
        log_samples=False,
        gen_kwargs=dict(generation) or None,
        apply_chat_template=chat,
        fewshot_random_seed=fewshot_seed,
    )
    return None if output is None else _read(output, {"chat_template": chat, "fewshot_seed": fewshot_seed})


def _leaves(group: "Group") -> set[str]:
    return {task.task_name for task in group.get_all_tasks()}


def _outermost(groups: list["Group"]) -> list["Group"]:
    """The groups that no other one holds: lm-eval takes the inner ones with them, and refuses to meet a task twice."""
    inner = {inside.name for group in groups for inside in group.get_all_groups()}
    chosen: list[Group] = []
    for group in (g for g in groups if g.name not in inner):
        if not any(_leaves(group) & _leaves(other) for other in chosen):
            chosen.append(group)
    return chosen


def _read(output: Mapping, asked: Mapping[str, object]) -> StockResults:
    found = StockResults()
    for name, numbers in sorted(output["results"].items()):
        values = {key.removesuffix(",none"): value for key, value in numbers.items() if _is_number(key, value)}
        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        found.undefined += [f"{name}/{key}" for key in values if key not in finite and not _is_stderr(key)]
        if not values:
            continue  # a group without an aggregate
        found.values[name] = finite
        found.n[name] = int(numbers["sample_len"])
        declared = output["higher_is_better"].get(name) or {}
        found.better[name] = {
            key: declared[base] for key in finite if isinstance(declared.get(base := key.partition(",")[0]), bool)
        }
        version = output["versions"].get(name)
        shots = output["n-shot"].get(name)
        found.settings[name] = {"version": None if version is None else str(version), "num_fewshot": shots, **asked}
    return found


def _is_number(key: str, value: object) -> bool:
    return key != "sample_len" and isinstance(value, int | float) and not isinstance(value, bool)


def _is_stderr(key: str) -> bool:
    return key.partition(",")[0].endswith("_stderr")
