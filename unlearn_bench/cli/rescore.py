"""Bring the entries of a leaderboard to the scorers of this version, from their kept samples; no model is run again.

An entry whose scorers have another version than this installation is scored again, as the board's rules say, from the
raw responses that the board keeps. What it said before stays in its history. Exit 1 if an entry is left behind, and
with --check if one is stale.

Examples:
  unlearn-bench rescore leaderboards/nano.json --check
  unlearn-bench rescore leaderboards/nano.json
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from unlearn_bench.cli import _logs
from unlearn_bench.cli._flags import add

HELP = "bring a leaderboard's entries to the scorers of this version"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("board", type=Path, metavar="BOARD", help="the board's JSON file; its samples are next to it")
    add(parser, "--check", ": an entry is stale")
    add(parser, "--logs")
    add(parser, "--quiet")
    add(parser, "--json", " (a list of entries)")


def run(args: argparse.Namespace) -> int:
    """Rescore, and say what moved."""
    from unlearn_bench.boards.rescore import UP_TO_DATE, rescore
    from unlearn_bench.errors import EXIT_FAILED, EXIT_OK
    from unlearn_bench.untrusted.strings import shown

    done = rescore(args.board, dry_run=args.check, logs=_logs.folder(args.logs))
    stale = [entry for entry in done if entry.skipped is None]
    left = [entry for entry in done if entry.skipped not in (None, UP_TO_DATE)]
    if args.json:
        print(json.dumps([asdict(entry) for entry in done], indent=2, ensure_ascii=False))
    elif not args.quiet:
        for entry in stale:
            print(shown(f"{entry.name}: {'stale' if args.check else 'rescored'} ({', '.join(entry.versions)})"))
            for key, pair in entry.moved.items():
                old, new = map(_number, pair)
                print(f"    {key}: {old} -> {new}" if old != new else f"    {key}: {old}, moved in a later digit")
        for entry in left:
            print(shown(f"{entry.name}: left as it is: {entry.skipped}"))
        what = "stale" if args.check else "rescored"
        print(f"{args.board}: {len(done)} entries, {len(stale)} {what}, {len(left)} that cannot be rescored")
    return EXIT_FAILED if left or (args.check and stale) else EXIT_OK


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
