"""Names of tasks become lm-eval's task objects, ours and stock ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.harness.quiet import quiet_libraries, quiet_lm_eval
from unlearn_bench.tasks_index import describe_tasks, expand_names, tasks_dir

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager


def load_tasks(
    names: Sequence[str], metadata: Mapping[str, object], include_path: str | None = None
) -> tuple[dict[str, "Task"], dict[str, "Group"]]:
    """Build the named tasks and groups; a task that is named twice, or alone and in a group, is built once.

    Args:
        names: Names of tasks and groups, or patterns (`nano_*`).
        metadata: Settings that override those of our task files.
        include_path: A folder of further task files.

    Returns:
        Tasks by name, the groups' tasks included, and groups by name.

    Raises:
        UserError: for a name that is neither ours nor lm-eval's, or a task that cannot be loaded.
    """
    given, names = names, expand_names(names, include_path)
    folder = metadata.get("data_dir")
    if folder is not None and not Path(str(folder)).is_dir():
        raise UserError(f"--data-dir {folder} does not exist", hint="pass the folder that holds tofu/ or knowundo/")
    manager = _manager(names, metadata, include_path)
    names = [name for name in names if name in given or name in manager.all_tasks]  # a pattern may match other words
    tasks: dict[str, Task] = {}
    groups: dict[str, Group] = {}
    for name in names:
        loaded = _load(manager, name)
        tasks = {**loaded["tasks"], **tasks}
        groups = {**loaded.get("groups", {}), **groups}
    return tasks, groups


def _manager(names: Sequence[str], metadata: Mapping[str, object], include_path: str | None) -> "TaskManager":
    """lm-eval's own index (seconds) is read only if a name is not ours."""
    quiet_libraries(bars=False)
    quiet_lm_eval()
    from lm_eval.tasks import TaskManager

    folders = [str(tasks_dir()), *([include_path] if include_path else [])]
    arguments = {"include_path": folders, "metadata": dict(metadata)}
    ours = TaskManager(include_defaults=False, **arguments)
    return ours if set(names) <= set(ours.all_tasks) else TaskManager(**arguments)


def _load(manager: "TaskManager", name: str) -> dict[str, dict]:
    if name not in manager.all_tasks:
        raise UserError(
            f"unknown task {name!r}", hint="`unlearn-bench tasks` lists ours, `lm_eval ls tasks` the others"
        )
    try:
        return manager.load([name])
    except UserError:
        raise
    except Exception as error:  # a task file and its data set may fail in any way; one line names the task
        if name in dict(describe_tasks()):
            raise
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"task {name} cannot be loaded: {type(error).__name__}: {first[:300]}",
            hint="its data set must be in the hub's cache or the hub in reach; see the task's own file",
        ) from error


def validate_task(name: str, metadata: Mapping[str, object]) -> str | None:
    """Load one task with its data and build one request.

    Returns:
        What is wrong, or None.
    """
    try:
        tasks, _ = load_tasks([name], metadata)
        for task in tasks.values():
            task.build_all_requests(limit=1)
    except UserError as error:
        return str(error)
    except Exception as error:  # a task file of a third party may fail in any way; each is a finding, not a crash
        return f"{type(error).__name__}: {error}"
    return None
