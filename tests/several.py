"""Several commands of `unlearn-bench` in one process, which imports torch once: a JSON list of argument lists.

Prints their exit codes.
"""

import json
import sys

from unlearn_bench.cli import main


def run(commands: str) -> None:
    """Run each command, also after one that failed."""
    print("exit codes", [main(arguments) for arguments in json.loads(commands)])


if __name__ == "__main__":
    run(sys.argv[1])
