"""Several commands of `unlearn-bench` in one process, which imports torch once: a JSON list of argument lists.

Prints each exit code when it is known.
"""

import json
import os
import signal
import sys
from pathlib import Path

from unlearn_bench.cli import main

STAY = "stay"  # before a training: it goes no further than its first checkpoint, and each process says that it is there


def run(commands: str) -> None:
    """Run each command, also after one that failed."""
    for arguments in json.loads(commands):
        if arguments[0] == STAY:
            del arguments[0]
            _stay_at_the_first_checkpoint()
        sys.stdout.write(f"exit code {main(arguments)}\n")  # in one piece: other processes write beside
        sys.stdout.flush()


def _stay_at_the_first_checkpoint() -> None:
    from unlearn_bench.trainers.callbacks import Hooks

    save = Hooks.on_save

    def stay(self: Hooks, args: object, *rest: object, **more: object) -> None:
        save(self, args, *rest, **more)
        Path(args.output_dir, f"{STAY}{os.environ['RANK']}").touch()
        while True:
            signal.pause()

    Hooks.on_save = stay


if __name__ == "__main__":
    run(sys.argv[1])
