"""List the tasks of unlearn-bench with their data; `--dir` prints the folder for `lm_eval run --include_path`.

Example: unlearn-bench tasks 'tofu_*'
"""

import argparse
import json
from fnmatch import fnmatchcase

from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_OK, UserError

HELP = "list our tasks, or say where their files are"
_UNSTATED = "NOASSERTION"  # SPDX: no licence was seen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; patterns allowed (tofu_*)")
    parser.add_argument("--dir", action="store_true", help="print the folder of the YAML files")
    add(parser, "--json", " (name to description)")


def run(args: argparse.Namespace) -> int:
    """Print names and descriptions."""
    from unlearn_bench.registry import did_you_mean
    from unlearn_bench.tasks_index import describe_tasks, tasks_dir

    if args.dir:
        if args.names:
            raise UserError(
                f"--dir prints one folder for all tasks, not that of {args.names[0]}", hint="name one of both"
            )
        print(json.dumps(str(tasks_dir())) if args.json else tasks_dir())
        return EXIT_OK
    lines = dict(describe_tasks())
    for pattern in args.names:
        if not any(fnmatchcase(name, pattern) for name in lines):
            raise did_you_mean("task", pattern, lines)
    chosen = {k: v for k, v in lines.items() if not args.names or any(fnmatchcase(k, p) for p in args.names)}
    if args.json:
        print(json.dumps(chosen, indent=2, ensure_ascii=False))
        return EXIT_OK
    data = asked_data()
    rows = [("task", "data", "licence", ""), *((k, *data.get(k, ("", "")), line) for k, line in chosen.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for *cells, description in rows:
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
        print("  ".join([*padded, description]).rstrip())
    return EXIT_OK


def asked_data() -> dict[str, tuple[str, str]]:
    """Task to what it asks (DATASET:SPLIT) and the licence of that; read without importing a dataset."""
    from unlearn_bench.data import DATASETS
    from unlearn_bench.tasks_index import task_definitions

    licences = {name: str(DATASETS.declared(name).get("licence", _UNSTATED)) for name in DATASETS.names()}
    return {
        task: (f"{of['dataset']}:{of['split']}", licences[str(of["dataset"])].replace(_UNSTATED, "not stated"))
        for task, of in task_definitions().items()
    }
