"""Recompute a result from its samples, or check a whole leaderboard file.

A result: its questions and references are the dataset's, every score follows from the evidence in its record, every
aggregate and interval from those scores; with --rescore also the evidence, from the responses. Exit 0: they agree.
A board: every entry as if submitted again, its evidence from the responses; with --against OLD, that entries were only
added, or replaced by the --submitter that they name, and everything else unchanged.
Rows that a board's maintainers scored from a published log keep no answers: --logs DIR scores the log again. A row
whose log is not there is named as not verified, and the exit code is 3 (with --against: 0 if the row did not change).
Example: unlearn-bench verify out/result.json --samples out/samples.jsonl
"""

import argparse
from pathlib import Path

from unlearn_bench.cli import _logs, _options
from unlearn_bench.cli._flags import add, add_trust

HELP = "recompute a result, or every entry of a leaderboard, from its samples"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("target", type=Path, metavar="RESULT|BOARD", help="result.json, its folder, or a leaderboard")
    add(parser, "--samples")
    add(parser, "--rescore", ": a board's by default and as its rules say, a result's with the options below")
    parser.add_argument("--against", type=Path, metavar="OLD", help="for a board: the version before")
    add(parser, "--submitter", ": with --against, whose entries may be replaced")
    add(parser, "--data-dir", ", to compare the questions with")
    add(parser, "--logs")
    add(parser, "--format", choices=("text", "json"), default="text")
    add(parser, "--json")
    add_trust(parser, partial=False)
    _options.add_scoring_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Verify, and say what does not agree."""
    from unlearn_bench.boards.verification import verify_file
    from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, EXIT_UNDECIDED

    found = verify_file(
        args.target,
        samples=args.samples,
        scoring=_options.scoring_settings(args),
        rescore=args.rescore,
        against=args.against,
        submitter=args.submitter,
        data_dir=Path(args.data_dir) if args.data_dir else None,
        logs=_logs.folder(args.logs),
    )
    print(found.to_json() if args.json or args.format == "json" else found.to_text())
    if not found.agrees:
        return EXIT_FAILED
    return EXIT_UNDECIDED if found.undecided else EXIT_OK
