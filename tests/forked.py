"""A command in a process of its own that need not import torch again: a fork of this one."""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Sequence

from unlearn_bench.cli import main


def exit_code_when_killed(arguments: Sequence[str], module: str, function: str, calls: int) -> int | None:
    """Run a command of `unlearn-bench` that gets SIGKILL at a call of `unlearn_bench.module.function`; how it ended.

    Nothing of the killed process is cleaned up or flushed, as with a new interpreter.
    """
    process = multiprocessing.get_context("fork").Process(target=_run, args=(arguments, module, function, calls))
    process.start()
    process.join()
    return process.exitcode


def _run(arguments: Sequence[str], module: str, function: str, calls: int) -> None:
    named = importlib.import_module(f"unlearn_bench.{module}")
    real, left = getattr(named, function), calls

    def fatal(*given: object, **settings: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **settings)

    setattr(named, function, fatal)
    raise SystemExit(main(list(arguments)))
