"""Boards and results as a web page (a folder of files: no server, no network), as Markdown, or as CSV.

A RESULT (result.json or its folder) whose run is on a board lends its samples and diagnostics to the entry's page;
another one gets a page of its own.
Example: unlearn-bench report leaderboards/*.json results/* --output site/
"""

import argparse
import sys
from pathlib import Path

HELP = "write leaderboards and results as a web page, Markdown or CSV"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="BOARD|RESULT", help="leaderboards and results")
    parser.add_argument("--format", choices=("html", "md", "csv"), default="html")
    parser.add_argument("--output", type=Path, metavar="PATH", help="html: folder (default: site); else a file")


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from unlearn_bench.errors import EXIT_OK, UserError
    from unlearn_bench.files import write_atomically
    from unlearn_bench.leaderboard import report, report_text

    boards_only = [path for path in args.files if not path.name.endswith(".schema.json")]
    inputs = report.load(boards_only)
    if args.format == "html":
        pages = report.write_site(inputs, args.output or Path("site"))
        print(f"{len(pages)} pages; open {pages[0]}")
        return EXIT_OK
    if not inputs.boards:
        raise UserError(f"--format {args.format} is for leaderboards, and none is named")
    render = report_text.to_markdown if args.format == "md" else report_text.to_csv
    text = "\n".join(render(view) for view in inputs.boards)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    return EXIT_OK
