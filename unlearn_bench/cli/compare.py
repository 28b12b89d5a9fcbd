"""Compare results with the first of them: paired differences, intervals, p-values, flips, and how they ran.

A result is a result.json, its folder, or an entry of a leaderboard (BOARD.json#NAME). With samples on both sides the
same questions are compared one by one. p-values are Holm-adjusted over what is shown: name the metrics that matter with
--metrics. Exit 0, or 2 where nothing can be compared.
Example: unlearn-bench compare results/nano-full results/nano-relearn
"""

import argparse
import sys

from unlearn_bench.cli._flags import add
from unlearn_bench.cli._parser import whole
from unlearn_bench.cli._unused import refuse

HELP = "compare results: paired differences, flips, provenance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("results", nargs="+", metavar="RESULT", help="result.json, its folder, or BOARD.json#NAME")
    add(parser, "--metrics", ": task/metric, or metric; * and ? allowed (default: all)", default=())
    parser.add_argument(
        "--flips", type=whole(0), default=10, metavar="N", help="most questions shown that changed, per metric"
    )
    add(parser, "--format", choices=("text", "json", "md"), default="text")
    add(parser, "--json")
    add(parser, "--output", ": a file, instead of standard output")


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    from unlearn_bench.boards.lookup import load
    from unlearn_bench.cli._overwriting import refuse_report
    from unlearn_bench.comparison import compare as verb
    from unlearn_bench.comparison.text_table import to_text
    from unlearn_bench.errors import EXIT_OK, EXIT_USAGE
    from unlearn_bench.files import write_atomically

    if args.json or args.format != "text":
        refuse(args, add_arguments, ("--flips",), "is for --format text")
    refuse_report("--output", args.output, args.results)
    args.format = "json" if args.json else args.format
    report = verb.compare([load(name) for name in args.results], list(args.metrics))
    render = {"json": verb.to_json, "md": verb.to_markdown}
    text = render[args.format](report) if args.format in render else to_text(report, args.flips)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    if report.nothing_compared:
        print("unlearn-bench compare: nothing could be compared, for the reasons above", file=sys.stderr)
        return EXIT_USAGE
    return EXIT_OK
