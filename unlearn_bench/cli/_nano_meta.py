"""`nano meta`: pools of models that know and that do not, and the table of how far each metric can be believed."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench.cli import _parser
from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.meta.evaluate import MetaReport
    from unlearn_bench.meta.nano_plan import Pupil


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for side, text in (("positives", "that know the forget facts"), ("negatives", "that never saw them")):
        parser.add_argument(
            f"--{side}", type=_parser.whole(3), default=20, metavar="N", help=f"models {text}, as many as there are"
        )
    add(parser, "--seeds", " of each kind of model", default=(0, 1, 2))
    add(parser, "--output", ": folder of the pools and the table", default=Path("results/nano-meta"))
    add(parser, "--limit", " (default: 24)")
    parser.add_argument("--depth", action="store_true", help="also measure unlearning depth (UDS) of every model")
    add(parser, "--list")
    add(parser, "--quiet")
    add(parser, "--json", " (table.json)")


def run(args: argparse.Namespace) -> int:
    """Make the models that are missing, then judge the metrics and write the tables."""
    from unlearn_bench.meta import nano_plan, nano_pool
    from unlearn_bench.reproduce.pool import one_thread
    from unlearn_bench.results import writing

    if args.output.exists() and not args.output.is_dir():
        raise UserError(f"--output {args.output}: a file, expected a folder")
    pupils = nano_plan.pupils(args.positives, args.negatives, args.seeds)
    settings = nano_pool.Settings(limit=args.limit or nano_plan.LIMIT, depth=args.depth)
    left = [one for one in pupils if not nano_pool.finished(one, nano_pool.folder_of(one, args.output), settings)]
    if args.list:
        sys.stdout.write("".join(f"{one.side}/{one.name}\n" for one in pupils))
        sys.stdout.write(f"{len(pupils)} models, {len(pupils) - len(left)} finished\n")
        return EXIT_OK
    one_thread()
    quiet = args.quiet or args.json

    def report(pupil: "Pupil", record: dict[str, Any]) -> None:
        if not quiet:
            print(f"{pupil.side}/{pupil.name}: {record['cpu_seconds']['all']} s of processor time", file=sys.stderr)

    with writing(args.output):
        nano_pool.make(pupils, args.output, settings, report)
        reports = nano_pool.judge(pupils, args.output, settings)
        table = _write(args.output, reports, settings.identity())
    if args.json:
        sys.stdout.write(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    elif not args.quiet:
        from unlearn_bench.cli.meta import print_report

        for found in reports.values():
            print_report(found)
        sys.stdout.write(f"{args.output / 'table.md'}\n")
    return EXIT_OK


def _write(folder: Path, reports: "dict[str, MetaReport]", settings: dict[str, object]) -> dict[str, Any]:
    """table.json, table.md, and the whole report of each pool in a folder of its role."""
    from unlearn_bench.files import write_atomically
    from unlearn_bench.meta import document, table

    for role, found in reports.items():
        document.write(found, folder / f"meta-{role}", settings)
    built = table.to_dict(reports, settings)
    write_atomically(folder / "table.json", [json.dumps(built, indent=1, ensure_ascii=False) + "\n"])
    write_atomically(folder / "table.md", [table.markdown(built)])
    return built
