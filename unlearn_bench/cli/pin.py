"""Pin a leaderboard to the data: version, rows, settings of each task, and the hash of every row it asks.

For maintainers, before the first entry: a board that is pinned by its first entry believes it. Embedded data needs no
folder; the others are read from --data-dir, or from the hub at the pinned revision.
Example: unlearn-bench pin leaderboards/tofu.json --data-dir data  # not run: needs your files
"""

import argparse
import json
from pathlib import Path

from unlearn_bench.cli._flags import add

HELP = "pin a leaderboard to the rows of its datasets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("board", type=Path, metavar="BOARD", help="the leaderboard's JSON file, which is changed")
    add(parser, "--data-dir")
    parser.add_argument(
        "--chat-templates", action="store_true", help="accept only the chat templates that its entries have now"
    )
    parser.add_argument(
        "--tokenizers", action="store_true", help="accept only the tokenizers that its entries have now"
    )
    add(parser, "--json", " (a list of what was pinned)")


def run(args: argparse.Namespace) -> int:
    """Pin, and say what was pinned."""
    from unlearn_bench.boards.pin import ASKING, pin
    from unlearn_bench.errors import EXIT_OK

    asking = [key for key in ASKING if getattr(args, key)]
    lines = pin(args.board, data_dir=Path(args.data_dir) if args.data_dir else None, asking=asking)
    print(json.dumps(lines, indent=2, ensure_ascii=False) if args.json else "\n".join(lines))
    return EXIT_OK
