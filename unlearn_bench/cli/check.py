"""The regression gate: is this checkpoint worse than the one before?

Exit 0: pass. 1: a regression. 2: not comparable, bad input, or the environment drifted.
The baseline is another result.json, or an entry of a leaderboard: leaderboards/nano.json#NAME. With samples on both
sides the same questions are compared one by one; otherwise the intervals.
Example: unlearn-bench check out/result.json --baseline leaderboards/nano.json#nano-relearn --gate gates.yaml
"""

import argparse
import sys
from pathlib import Path

HELP = "regression gate: compare a result with a baseline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", metavar="RESULT", help="result.json, its folder, or BOARD.json#NAME")
    parser.add_argument("--baseline", required=True, metavar="RESULT", help="result.json, or BOARD.json#NAME")
    parser.add_argument("--gate", type=Path, metavar="FILE", help="gates.yaml; without: not worse by more than 0.05")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="the result's samples.jsonl; beside it by default")
    parser.add_argument("--baseline-samples", type=Path, metavar="FILE", help="the baseline's samples.jsonl")
    parser.add_argument("--format", choices=("text", "json", "junit", "github"), default="text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML, whatever the format")


def run(args: argparse.Namespace) -> int:
    """Check, and show the verdict."""
    from unlearn_bench.files import write_atomically
    from unlearn_bench.leaderboard import check_output
    from unlearn_bench.leaderboard._subject import load
    from unlearn_bench.leaderboard.check import check
    from unlearn_bench.leaderboard.gate import read_gate

    report = check(
        load(args.result, args.samples),
        load(args.baseline, args.baseline_samples),
        read_gate(args.gate) if args.gate else None,
    )
    render = {"json": check_output.to_json, "junit": check_output.to_junit, "github": check_output.to_github}
    text = render[args.format](report) if args.format in render else _text(report, narrow=args.output is not None)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    if args.junit:
        write_atomically(args.junit, [check_output.to_junit(report)])
    return report.exit_code


def _text(report: "CheckReport", *, narrow: bool) -> str:  # noqa: F821
    """The table and what stands below it, in colour where a person reads."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unlearn_bench.leaderboard import check_output
    from unlearn_bench.leaderboard._text import shown

    colours = {"regress": "bold red", "pass": "green", "inconclusive": "yellow"}
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "verdict"):
        table.add_column(column)
    for column in ("baseline", "now", "difference", "margin", "p"):
        table.add_column(column, justify="right")
    for m in report.metrics:
        if m.verdict == "info":
            continue
        difference = "" if m.difference is None else f"{m.difference:+.3f}"
        interval = "" if m.low is None else f" [{m.low:+.3f}, {m.high:+.3f}]"
        cells = [
            check_output.number(m.old),
            check_output.number(m.new),
            difference + interval,
            "" if m.margin is None else f"{m.margin:g}",
            "" if m.p is None else check_output.p_value(m.p),
        ]
        verdict = Text(m.verdict, style=colours[m.verdict])
        table.add_row(Text(shown(m.key)), verdict, *map(Text, cells))
    buffer = io.StringIO()
    tty = not narrow and sys.stdout.isatty()
    console = Console(file=buffer, force_terminal=tty, width=None if tty else 140, highlight=False)
    console.print(table)
    for line in check_output.text_lines(report):
        console.print(Text(line), soft_wrap=True)
    return buffer.getvalue()
