"""Load every task of unlearn-bench, its data included, and build one request of each. Exit 1 if any fails.

Example: unlearn-bench validate --tasks nano_forget,tofu_forget --data-dir data
"""

import argparse
import json
from collections.abc import Sequence

from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

HELP = "load every task and build one request of each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--tasks", " (default: all of this project's)", default=())
    for name in ("--data-dir", "--data-revision", "--forget-split"):
        add(parser, name)
    add(parser, "--json", " (task to what is wrong with it, or null)")


def run(args: argparse.Namespace) -> int:
    """Validate task by task; one line each."""
    from unlearn_bench.harness.plan import check_forget_split
    from unlearn_bench.harness.spec import DataSettings
    from unlearn_bench.harness.stock import validate_task
    from unlearn_bench.tasks_index import describe_tasks, expand_names

    ours = [name for name, line in describe_tasks() if not line.startswith("group")]
    asked = expand_names(args.tasks) if args.tasks else ours
    check_forget_split(args.forget_split, _datasets(asked))
    data = DataSettings(args.data_dir, args.data_revision, args.forget_split)
    problems: dict[str, str | None] = {}
    for name in asked:
        problem = problems[name] = validate_task(name, data)
        if not args.json:
            print(f"ok      {name}" if problem is None else f"FAILED  {name}: {problem}", flush=True)
    if args.json:
        print(json.dumps(problems, indent=2, ensure_ascii=False))
    return EXIT_FAILED if any(problems.values()) else EXIT_OK


def _datasets(names: Sequence[str]) -> set[str]:
    """The datasets that tasks and groups of this project ask."""
    from unlearn_bench.tasks_index import read_groups, task_definitions

    groups, definitions = read_groups(), task_definitions()
    tasks = {task for name in names for task in groups.get(name, [name])}
    return {str(definitions[task]["dataset"]) for task in tasks & definitions.keys()}
