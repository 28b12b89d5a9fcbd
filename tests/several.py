"""Several commands of `unlearn-bench` in one process, which imports torch once: a JSON list of argument lists.

Prints each exit code when it is known.
"""

import json
import sys

from unlearn_bench.cli import main


def run(commands: str) -> None:
    """Run each command, also after one that failed."""
    for arguments in json.loads(commands):
        sys.stdout.write(f"exit code {main(arguments)}\n")  # in one piece: other processes write beside
        sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1])
