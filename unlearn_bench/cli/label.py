"""Draw answers of a result for a person to label: does the answer show the knowledge of the reference answer?

The sheet holds question, reference answer and answer, and nothing of what a judge said of them; as many answers of each
verdict are drawn, as far as there are. Fill the column `known` with yes, partly or no; --interactive asks for one after
the other, and goes on where it stopped. `unlearn-bench calibrate` then measures the judge.
Example: unlearn-bench label results/npo --n 100 --output npo.csv
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli._flags import add
from unlearn_bench.cli._parser import whole
from unlearn_bench.cli._unused import given

if TYPE_CHECKING:
    from unlearn_bench.calibration.sheet import Row

HELP = "draw answers of a result for a person to label"
_ANSWERS = {"y": "yes", "p": "partly", "n": "no"}
_SHOWN = ("question", "reference", "response")
_MOST = 4_000  # characters of a text that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", type=Path, metavar="RESULT", help="result.json with samples.jsonl next to it")
    parser.add_argument("--n", type=whole(1), default=100, metavar="N", help="answers to draw")
    add(parser, "--seed", " (the draw)", default=0)
    add(parser, "--output", ": file of the sheet, .csv or .jsonl", required=True)
    add(parser, "--overwrite", ": a sheet, and its labels")
    parser.add_argument("--interactive", action="store_true", help="ask for the labels here; goes on with a sheet")


def run(args: argparse.Namespace) -> int:
    """Draw a sheet, or go on with one."""
    from unlearn_bench.calibration.sheet import draw, read_sheet, rows_of, write_sheet
    from unlearn_bench.cli._overwriting import refuse_file
    from unlearn_bench.comparison import loaded
    from unlearn_bench.errors import EXIT_OK

    if args.output.exists() and args.interactive and not args.overwrite:
        rows = read_sheet(args.output)
        _refuse_another_draw(args, rows)
    else:
        told = "--interactive goes on with it; --overwrite replaces it"
        refuse_file(args.output, [args.result], overwrite=args.overwrite, hint=told)
        _, samples = loaded.with_samples(args.result)
        rows = rows_of(draw(samples, args.n, seed=args.seed))
        write_sheet(args.output, rows)
    if args.interactive:
        _ask(args.output, rows)
    labelled = sum(bool(row["known"]) for row in rows)
    sys.stdout.write(f"{args.output}: {len(rows)} answers, {labelled} labelled\n")
    return EXIT_OK


def _refuse_another_draw(args: argparse.Namespace, rows: list["Row"]) -> None:
    """`--n` and `--seed` say what is drawn: beside a sheet they may only say what it holds.

    Raises:
        UserError: if they say something else.
    """
    from unlearn_bench.calibration.sheet import draw, rows_of
    from unlearn_bench.comparison import loaded
    from unlearn_bench.errors import UserError

    flags = [flag for flag in given(args, add_arguments) if flag in ("--n", "--seed")]
    if not flags:
        return
    _, samples = loaded.with_samples(args.result)
    drawn = rows_of(draw(samples, args.n, seed=args.seed))
    if {row["key"] for row in drawn} != {row["key"] for row in rows}:
        raise UserError(
            f"{' and '.join(flags)}: {args.output} holds another draw, of {len(rows)} answers",
            hint="leave it out, or pass --overwrite",
        )


def _ask(path: Path, rows: list["Row"]) -> None:
    """Ask for the missing labels; each is on the disk before the next is asked."""
    from unlearn_bench.calibration.sheet import write_sheet
    from unlearn_bench.untrusted.escape import lines

    for number, row in enumerate(rows, 1):
        if row["known"]:
            continue
        texts = "".join(f"\n{name}\n  {lines(_shortened(row[name]))}\n" for name in _SHOWN)
        sys.stdout.write(f"\n[{number} of {len(rows)}]{texts}")
        try:
            reply = _reply()
        except (EOFError, KeyboardInterrupt):
            return
        if reply == "q":
            return
        if reply in _ANSWERS:
            row["known"] = _ANSWERS[reply]
            write_sheet(path, rows)


def _shortened(text: str) -> str:
    more = len(text) - _MOST
    return text if more <= 0 else f"{text[:_MOST]} […; {more:,} more characters are in the sheet]"


def _reply() -> str:
    while True:
        reply = input("known? [y]es, [p]artly, [n]o, [s]kip, [q]uit: ").strip().lower()[:1]
        if reply in {*_ANSWERS, "s", "q"}:
            return reply
