"""Boards and results as a web page (a folder of files: no server, no network), as Markdown, CSV, or a LaTeX table.

A RESULT (result.json or its folder) whose run is on a board lends its samples and diagnostics to the entry's page;
another one gets a separate page.
Example: unlearn-bench report leaderboards/*.json results/* --output site/
"""

import argparse
import sys
from pathlib import Path

from unlearn_bench.cli._flags import add

HELP = "write leaderboards and results as a web page, Markdown, CSV or LaTeX"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="BOARD|RESULT", help="leaderboards and results")
    add(parser, "--calibration")
    add(parser, "--labels")
    add(parser, "--format", choices=("html", "md", "csv", "latex"), default="html")
    add(parser, "--output", ": for html a folder (default: site), else a file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from unlearn_bench.calibration.correct import read_given
    from unlearn_bench.cli._overwriting import refuse_report
    from unlearn_bench.errors import EXIT_OK
    from unlearn_bench.files import write_atomically
    from unlearn_bench.site import report, report_text, views

    if args.format != "html":
        refuse_report("--output", args.output, (*args.files, args.calibration, args.labels))
    boards_only = [path for path in args.files if not path.name.endswith(".schema.json")]
    given = read_given(args.calibration, args.labels)
    inputs = views.load(boards_only)
    if given:
        given.correct(*views.scored(inputs))
    if args.format == "html":
        pages = report.write_site(inputs, args.output or Path("site"))
        print(f"{len(pages)} pages; open {pages[0]}")
        return EXIT_OK
    text = report_text.write(inputs, args.format)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    return EXIT_OK
