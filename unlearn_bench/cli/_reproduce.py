"""`nano reproduce` and `smol reproduce`: every unlearning method, with several seeds, as one table."""

import argparse
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unlearn_bench.reproduce.cell import Settings
    from unlearn_bench.reproduce.plan import Cell
    from unlearn_bench.reproduce.pool import Report
    from unlearn_bench.reproduce.study import Row, Study


def add_arguments(parser: argparse.ArgumentParser, study: str, *, seeds: tuple[int, ...]) -> None:
    """Declare the options.

    Args:
        parser: Of the action.
        study: One of `reproduce.STUDIES`.
        seeds: The default of `--seeds`.
    """
    parser.set_defaults(study=study)
    add(parser, "--methods")
    add(parser, "--seeds", default=seeds)
    add(parser, "--output", ": folder of the table", default=Path(f"results/{study}-table"))
    add(parser, "--jobs")
    add(parser, "--keep")
    add(parser, "--limit", ", for a trial")
    add(parser, "--max-steps", ", for a trial")
    add(parser, "--stress", " (of each row's first seed)")
    add(parser, "--diagnose", " (of each row's first seed)")
    add(parser, "--list")
    add(parser, "--plots", ": scatter.png", default=True)
    add(parser, "--leaderboard", ", to which each finished row's first seed is submitted")
    add(parser, "--quiet")
    add(parser, "--json", " (table.json)")


def run(args: argparse.Namespace) -> int:
    """Do what is left to do, then write the table of all that is done; 1 if a cell failed, 2 if there is no row."""
    from unlearn_bench.reproduce import STUDIES, plan, pool
    from unlearn_bench.reproduce.cell import Settings, refuse_lost, refuse_other

    _check(args)
    study = STUDIES.get(args.study)
    rows = plan.choose(study, args.methods)
    work = plan.cells(study, rows, args.seeds)
    settings = Settings(
        limit=args.limit, max_steps=args.max_steps, stress=args.stress, diagnose=args.diagnose, keep=args.keep
    )
    _check_names(settings)
    refuse_other(work, args.output, settings)
    left = pool.unfinished(work, args.output, settings)
    refuse_lost(left, args.output, settings)
    if not (args.quiet or args.json) or args.list:
        _announce(args, work, left)
    if args.list:
        return EXIT_OK
    _tell_unkept(args, [cell for cell in work if cell not in left])
    if left:
        from unlearn_bench.models import subject
        from unlearn_bench.reproduce.anchors import check_stress

        subject.find(study.model)  # what is missing is told once, not by each process
        if settings.stress:
            check_stress(study, settings.stress)
    with _bar(left, args.jobs, quiet=args.quiet or args.json) as report:
        failed = pool.run_all(left, args.output, settings, jobs=args.jobs, report=report)
    any_row = _write(args, study, rows, work, settings)
    if args.leaderboard is not None:
        from unlearn_bench.reproduce.submission import submit_rows

        submitted = submit_rows(work, args.output, settings, args.leaderboard)
        if not (args.quiet or args.json):
            sys.stdout.write(f"{len(submitted)} rows are on {args.leaderboard}, verified from their samples\n")
    for name, reason in failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    return EXIT_OK if not failed else EXIT_FAILED if any_row else EXIT_USAGE


def _check(args: argparse.Namespace) -> None:
    from unlearn_bench.results import require_folder

    if args.leaderboard is not None:
        from unlearn_bench.boards.store import read_board

        if not any(name.startswith(f"{args.study}_") for name in read_board(args.leaderboard).tasks):
            raise UserError(
                f"--leaderboard {args.leaderboard}: the board asks no task of {args.study}",
                hint=f"example: leaderboards/{args.study}.json",
            )
    require_folder(args.output)


def _check_names(settings: "Settings") -> None:
    """Refuse an unknown name before anything is trained."""
    if settings.stress:
        from unlearn_bench.stress.panel import exams

        exams(settings.stress)
    if settings.diagnose:
        from unlearn_bench.diagnostics.schema import check_names

        check_names(settings.diagnose)


def _announce(args: argparse.Namespace, work: "Sequence[Cell]", left: "Sequence[Cell]") -> None:
    from unlearn_bench.reproduce.plan import estimate

    if args.list:
        for row in dict.fromkeys(cell.row.name for cell in work):
            sys.stdout.write(f"{row}\n")
    minutes = estimate(left, args.jobs)
    sys.stdout.write(
        f"{len(work)} models, {len(work) - len(left)} finished; about {minutes:.0f} min for the rest on "
        f"{args.jobs} idle cores\n"
    )


def _tell_unkept(args: argparse.Namespace, finished: "Sequence[Cell]") -> None:
    if args.keep is None:
        return
    missing = [cell.name for cell in finished if cell.row.seeded and not (args.keep / cell.name).is_dir()]
    if missing:
        print(
            f"--keep {args.keep}: finished before, so that their checkpoints are not there: {', '.join(missing)}\n"
            f"  remove their folders in {args.output}: the same command trains them again",
            file=sys.stderr,
        )


def _write(
    args: argparse.Namespace, study: "Study", rows: "Sequence[Row]", work: "Sequence[Cell]", settings: "Settings"
) -> bool:
    """table.json, table.md and scatter.png from all finished cells; False if there is none."""
    from unlearn_bench.files import write_atomically
    from unlearn_bench.reproduce import table
    from unlearn_bench.reproduce.cell import finished

    found = {cell.name: finished(cell, args.output, settings) for cell in work}
    built = table.build(study, rows, [record for record in found.values() if record is not None])
    if not built:
        return False
    missing = [name for name, record in found.items() if record is None]
    notes = [f"not there (failed): {', '.join(missing)}"] if missing else []
    trial = [f"{flag} {n:g}" for flag, n in (("--limit", args.limit), ("--max-steps", args.max_steps)) if n is not None]
    notes += [f"a trial, of no account: {', '.join(trial)}"] if trial else []
    text = table.markdown(study, built, notes)
    document = {"columns": {c.key: c.metric for c in study.columns}, "rows": built, "missing": missing}
    write_atomically(args.output / "table.json", [json.dumps(document, indent=2, ensure_ascii=False) + "\n"])
    write_atomically(args.output / "table.md", [text])
    if args.plots:
        from unlearn_bench.reproduce.scatter import draw

        draw(built, args.output / "scatter.png")
    if args.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif not args.quiet:
        sys.stdout.write(f"{text}\n{args.output / 'table.md'}\n")
    return True


@contextmanager
def _bar(left: "Sequence[Cell]", jobs: int, *, quiet: bool) -> "Iterator[Report]":
    """A bar over models on standard error, with the last one's figures; the time left is of the measured pace."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet or not left) as bar:
        line = bar.add_task(f"training and scoring, {jobs} at a time", total=len(left))

        def report(cell: "Cell", outcome: "dict[str, object] | str") -> None:
            bar.update(line, advance=1)
            if not quiet and not isinstance(outcome, str):  # what failed is told at the end
                bar.console.print(f"{cell.name}: {_short(cell.study, outcome)}", highlight=False)

        yield report


def _short(study: "Study", outcome: "dict[str, object]") -> str:
    shown = {column.title: column.metric for column in study.columns if column.key in ("kfr", "krr")}
    parts = [f"{k} {v:.2f}" for k, name in shown.items() if (v := outcome["metrics"].get(name)) is not None]
    return f"{', '.join(parts)} in {outcome['minutes']['all']:.1f} minutes"
