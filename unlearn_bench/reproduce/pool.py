"""Many pieces of work, several at a time, each in a process with one thread, so that sums do not depend on the load.

Finished cells are skipped; a cut run loses the cells it was in the middle of. A piece that raises is reported with its
reason and the others go on. Where a process is killed (by the system, for its memory), what is left is done one at a
time, so that only the piece that ends its process when it is alone is lost.
"""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from unlearn_bench.errors import FULL, UserError, next_step, of_system, printable
from unlearn_bench.processes import processes, submit
from unlearn_bench.reproduce.cell import Settings, finished, run
from unlearn_bench.reproduce.plan import Cell

LOCK_FILE = ".lock"
Report = Callable[[Cell, dict[str, object] | str], None]
W = TypeVar("W")
R = TypeVar("R")


def unfinished(work: Sequence[Cell], output: Path, settings: Settings) -> list[Cell]:
    """The cells that are still to be done."""
    return [cell for cell in work if finished(cell, output, settings) is None]


def run_all(work: Sequence[Cell], output: Path, settings: Settings, *, jobs: int, report: Report) -> dict[str, str]:
    """Run cells.

    Args:
        work: What to run, in this order.
        output: Folder of the cells' folders.
        settings: See `cell.Settings`.
        jobs: Processes at a time.
        report: Called for each cell that ends, with its record or with the reason why it failed.

    Returns:
        Cell name to the reason why it failed.

    Raises:
        UserError: if another command is making cells in the same folder: it would lose what it is in the middle of.
    """
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / LOCK_FILE, timeout=0):
            for leftover in output.glob(".work-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            failed = run_each(work, partial(run, output=output, settings=settings), jobs=jobs, report=report)
    except Timeout:
        raise UserError(
            f"--output {output}: another command is making this table",
            hint="wait for it to end, or choose another --output",
        ) from None
    return {cell.name: reason for cell, reason in failed}


def run_each(
    work: Sequence[W], do: Callable[[W], R], *, jobs: int, report: Callable[[W, R | str], None]
) -> list[tuple[W, str]]:
    """Do something with each of several things.

    Args:
        work: What to do it with, in this order; can be pickled.
        do: What to do; can be pickled, and so can what it returns.
        jobs: Processes at a time.
        report: Called for each thing that ends, with the outcome or with the reason why it failed.

    Returns:
        What failed, with the reason.

    Raises:
        UserError: if the disk is full, as all that follows would fail too.
    """
    failed: list[tuple[W, str]] = []

    def end(one: W, outcome: R | str) -> None:
        if isinstance(outcome, str):
            failed.append((one, outcome))
        report(one, outcome)

    left = list(work)
    while left:
        jobs = min(jobs, len(left))
        with processes(jobs, one_thread) as pool:
            futures = submit(pool, do, left)
            for future in as_completed(futures):
                if not _killed(future):
                    end(futures[future], _outcome(future))
        left = [one for future, one in futures.items() if _killed(future)]
        if left and jobs == 1:  # in order, so that the first of them was under way
            end(left.pop(0), "its process ended before the work was done (is the memory enough?)")
        elif left:
            print("a process ended before its work was done; the rest goes on, one at a time", file=sys.stderr)
            jobs = 1
    return failed


def _killed(future: Future[R]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _outcome(future: Future[R]) -> R | str:
    try:
        return future.result()
    except UserError as error:
        return str(error)
    except OSError as error:
        if error.errno in FULL:
            raise UserError(of_system(error), hint=next_step(error)) from None
        return of_system(error)
    except Exception as error:  # one broken piece must not cost the others; it is reported and counted
        return f"{type(error).__name__}: {printable(str(error))}"


def one_thread() -> None:
    """Make this process's sums the same on every machine and under any load."""
    os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
