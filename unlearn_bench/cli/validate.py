"""Load every task of unlearn-bench, its data included, and build one request of each. Exit 1 if any fails.

Example: unlearn-bench validate --tasks nano_kfr,tofu_kfr --data-dir data
"""

import argparse
import sys

from unlearn_bench.cli import _parser
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

HELP = "load every task and build one request of each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=_parser.names, help="names, comma separated (default: all of ours)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the datasets, instead of the hub")


def run(args: argparse.Namespace) -> int:
    """Validate task by task; one line each."""
    from unlearn_bench.harness.task_loading import validate_task
    from unlearn_bench.tasks_index import describe_tasks

    ours = [name for name, line in describe_tasks() if not line.startswith("group")]
    names = args.tasks or ours
    problems = 0
    for name in names:
        problem = validate_task(name, {"data_dir": args.data_dir} if args.data_dir else {})
        problems += problem is not None
        sys.stdout.write(
            f"{'ok    ' if problem is None else 'FAILED'}  {name}{'' if problem is None else ': ' + problem}\n"
        )
    return EXIT_FAILED if problems else EXIT_OK
