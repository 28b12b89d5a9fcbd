"""`nano meta` and `smol meta`: pools of models that know and that do not, and how far each metric can be believed."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_OK

if TYPE_CHECKING:
    from unlearn_bench.meta.evaluate import MetaReport
    from unlearn_bench.meta.plan import Pupil


def add_arguments(
    parser: argparse.ArgumentParser, benchmark: str, *, size: int, limit: int, seeds: tuple[int, ...]
) -> None:
    """Declare the options.

    Args:
        parser: Of the action.
        benchmark: "nano" or "smol": whose plan.
        size: Models of each of the two sides.
        limit: Questions of each task.
        seeds: Of each kind of model.
    """
    parser.set_defaults(benchmark=benchmark)
    add(parser, "--positives", f" (default: {size})", default=size)
    add(parser, "--negatives", f" (default: {size})", default=size)
    add(parser, "--seeds", " of each kind of model", default=seeds)
    add(parser, "--output", ": folder of the pools and the table", default=Path(f"results/{benchmark}-meta"))
    add(parser, "--limit", f" (default: {limit})")
    add(parser, "--depth")
    add(parser, "--lens")
    add(parser, "--ways", default=())
    add(parser, "--list")
    add(parser, "--quiet")
    add(parser, "--json", " (table.json)")


def run(args: argparse.Namespace) -> int:
    """Make the models that are missing, then judge the metrics and write the tables."""
    from importlib import import_module

    from unlearn_bench.meta import ways
    from unlearn_bench.meta.making import Pool
    from unlearn_bench.reproduce.pool import one_thread
    from unlearn_bench.results import require_folder, writing

    require_folder(args.output)
    plan = import_module(f"unlearn_bench.meta.{args.benchmark}_plan").PLAN
    inside = tuple(name for name, asked in (("depth", args.depth), ("logit_lens", args.lens)) if asked)
    pool = Pool(plan, args.output, limit=args.limit or plan.limit, inside=inside)
    pupils = plan.pupils(args.positives, args.negatives, args.seeds)
    left = [one for one in pupils if not pool.finished(one)]
    if args.list:
        sys.stdout.write("".join(f"{one.side}/{one.name}\n" for one in pupils))
        sys.stdout.write(f"{len(pupils)} models, {len(pupils) - len(left)} finished\n")
        return EXIT_OK
    ways.check(args.ways)
    pool.refuse_other(pupils)
    one_thread()
    quiet = args.quiet or args.json

    def report(pupil: "Pupil", record: dict[str, Any]) -> None:
        if not quiet:
            print(f"{pupil.side}/{pupil.name}: {record['cpu_seconds']['all']} s of processor time", file=sys.stderr)

    with writing(args.output):
        pool.make(pupils, report)
        reports = pool.judge(pupils, args.ways)
        told = {**pool.settings, "inside": list(inside), "ways": list(args.ways)}
        table = _write(args.output, reports, told)
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
