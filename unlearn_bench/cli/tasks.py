"""List the tasks of unlearn-bench, one line each; `--dir` prints the folder for `lm_eval run --include_path`."""

import argparse
import sys

from unlearn_bench.errors import EXIT_OK

HELP = "list our tasks, or say where their files are"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dir", action="store_true", help="print the folder of the YAML files")


def run(args: argparse.Namespace) -> int:
    """Print names and descriptions."""
    from unlearn_bench.tasks_index import describe_tasks, tasks_dir

    if args.dir:
        sys.stdout.write(f"{tasks_dir()}\n")
        return EXIT_OK
    lines = describe_tasks()
    width = max(len(name) for name, _ in lines)
    for name, description in lines:
        sys.stdout.write(f"{name:<{width}}  {description}\n")
    return EXIT_OK
