"""Stock lm-eval tasks in the same run: asked and counted as `lm_eval run` does.

Few-shot seed 1234, no chat template unless it is asked for, standard errors, aggregates of groups, prompts cut on the
left. What could differ from a run of lm-eval is recorded per task (`settings`).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.harness.quiet import quiet_libraries
from unlearn_bench.harness.spec import FEWSHOT_SEED, DataSettings
from unlearn_bench.tasks_index import tasks_dir

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task as StockTask
    from lm_eval.tasks import TaskManager

    from unlearn_bench.harness.definitions import Task

_SEEDS = {"random": 0, "numpy": 1234, "torch": 1234}  # those of `lm_eval run`


@dataclass(frozen=True)
class StockTasks:
    """lm-eval's tasks by name, and the groups that were named."""

    tasks: "Mapping[str, StockTask]"
    groups: "Mapping[str, Group]"


def load_stock(
    names: Sequence[str], include_path: str | None, *, asked: Sequence[str]
) -> "tuple[list[Task], StockTasks | None]":
    """Build tasks and groups that are not in this project's folder; those of its class are returned apart.

    Args:
        names: Names of tasks and groups.
        include_path: A folder of further task files.
        asked: The names as they were given: another one, which a pattern brought, may be no task at all.

    Raises:
        UserError: for a name that lm-eval does not know, or a task that cannot be loaded.
    """
    from unlearn_bench.harness.tasks import UnlearnTask

    loaded = load_with_lm_eval(names, include_path, required=asked)
    ours = [task.definition for task in loaded.tasks.values() if isinstance(task, UnlearnTask)]
    stock = {name: task for name, task in loaded.tasks.items() if not isinstance(task, UnlearnTask)}
    return ours, StockTasks(stock, loaded.groups) if stock else None


def load_with_lm_eval(
    names: Sequence[str],
    include_path: str | None = None,
    *,
    metadata: Mapping[str, object] | None = None,
    required: Sequence[str] | None = None,
) -> StockTasks:
    """Build tasks, this project's included, as lm-eval does.

    Args:
        names: Names of tasks and groups.
        include_path: A folder of further task files.
        metadata: What `lm_eval run --metadata` would say.
        required: Of the names those that must be there; None: all.

    Raises:
        UserError: for a name that lm-eval does not know, or a task that cannot be loaded.
    """
    quiet_libraries(bars=False)
    from lm_eval.tasks import TaskManager

    folders = [str(tasks_dir()), *([include_path] if include_path else [])]
    arguments = {"include_path": folders, "metadata": dict(metadata or {})}
    manager = TaskManager(include_defaults=False, **arguments)
    if not set(names) <= set(manager.all_tasks):  # lm-eval's own index takes seconds
        manager = TaskManager(**arguments)
    tasks: dict[str, StockTask] = {}
    groups: dict[str, Group] = {}
    for name in names:
        if required is None or name in required or name in manager.all_tasks:
            loaded = _load(manager, name)
            tasks = {**loaded["tasks"], **tasks}
            groups = {**loaded.get("groups", {}), **groups}
    return StockTasks(tasks, groups)


def _load(manager: "TaskManager", name: str) -> dict[str, dict]:
    if name not in manager.all_tasks:
        raise UserError(f"unknown task {name!r}", hint="list names with `unlearn-bench tasks` and `lm_eval ls tasks`")
    try:
        return manager.load([name])
    except UserError:
        raise
    except Exception as error:  # a task file and its data set may fail in any way; one line names the task
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"task {name} cannot be loaded: {type(error).__name__}: {first[:300]}",
            hint="its data set must be in the hub's cache or the hub in reach; see the task's own file",
        ) from error


def check_fewshot_seed(seed: int, stock: StockTasks | None) -> None:
    """A seed of examples where no task shows any is a mistake.

    Raises:
        UserError: if it is not the default.
    """
    shows = any(task.get_config("num_fewshot") for task in stock.tasks.values()) if stock else False
    if seed != FEWSHOT_SEED and not shows:
        raise UserError(f"--fewshot-seed {seed}: no task of the run shows examples in its prompts", hint="leave it out")


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
    stock: StockTasks,
    *,
    limit: float | None,
    generation: Mapping[str, object],
    chat: bool,
    fewshot_seed: int = FEWSHOT_SEED,
) -> StockResults | None:
    """Ask stock tasks.

    Args:
        lm: The model.
        stock: To be asked; a group that holds other tasks too has no aggregate.
        limit: Only the first questions of each task, or below 1 this share of them.
        generation: Settings that override the tasks' own.
        chat: Whether prompts go through the chat template.
        fewshot_seed: Of the examples in the prompts.

    Returns:
        None on every process but the first.

    Raises:
        UserError: for a task that would run the code that the model writes.
    """
    unsafe = sorted(name for name, task in stock.tasks.items() if getattr(task, "UNSAFE_CODE", False))
    if unsafe:
        raise UserError(
            f"task {unsafe[0]} runs code that the model writes", hint="lm_eval run --confirm_run_unsafe_code can do it"
        )
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    whole = [group for group in stock.groups.values() if _leaves(group) <= set(stock.tasks)]
    covered = set().union(*(_leaves(group) for group in whole))
    named = [*_outermost(whole), *(task for name, task in stock.tasks.items() if name not in covered)]
    loaded = TaskManager(include_defaults=False).load(named)
    _prepare(loaded["tasks"], generation, fewshot_seed)
    output = evaluate(lm=lm, task_dict=loaded, limit=limit, log_samples=False, apply_chat_template=chat)
    return None if output is None else _read(output, {"chat_template": chat, "fewshot_seed": fewshot_seed})


def _prepare(tasks: "Mapping[str, StockTask]", generation: Mapping[str, object], fewshot_seed: int) -> None:
    """What `lm_eval.simple_evaluate` does with tasks before it evaluates them (it also asks git and pip)."""
    import numpy as np
    import torch

    random.seed(_SEEDS["random"])
    np.random.seed(_SEEDS["numpy"])
    torch.manual_seed(_SEEDS["torch"])
    for task in tasks.values():
        if generation and task.get_config("output_type") == "generate_until":
            task.set_config(key="generation_kwargs", value=dict(generation), update=True)
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=fewshot_seed)


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


def validate_task(name: str, data: DataSettings) -> str | None:
    """Load one task as lm-eval does, with its data, and build one request.

    Returns:
        What is wrong, or None.
    """
    metadata = {key: value for key, value in asdict(data).items() if value is not None}
    try:
        for task in load_with_lm_eval([name], metadata=metadata).tasks.values():
            task.build_all_requests(limit=1)
    except UserError as error:
        return str(error)
    except Exception as error:  # a task file of a third party may fail in any way; each is a finding, not a crash
        return f"{type(error).__name__}: {error}"
    return None
