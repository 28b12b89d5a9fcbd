"""Work shared among processes that end with their command, however it ends; on Ctrl-C only the command speaks."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

W = TypeVar("W")
R = TypeVar("R")


@contextmanager
def processes(jobs: int, initializer: Callable[..., None], *initargs: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes that are started anew, as torch's threads do not survive a fork; an exception ends them.

    Args:
        jobs: At most so many at a time.
        initializer: Called in each, with `initargs`, before its first work.
        initargs: Can be pickled.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(initializer, *initargs)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _begin(initializer: Callable[..., None], *initargs: Any) -> None:
    threading.Thread(target=_end_with_command, daemon=True).start()
    initializer(*initargs)


def _end_with_command() -> None:
    command = multiprocessing.parent_process()
    if command is not None:
        command.join()
        os._exit(1)  # killed, it could end no process; what this one is in the middle of is of use to nobody


def submit(pool: ProcessPoolExecutor, do: Callable[[W], R], work: Iterable[W]) -> dict[Future[R], W]:
    """Hand in all work; returns each piece by its future, in the order of the work.

    Processes are started here. They ignore Ctrl-C, which a terminal sends to each: `processes` ends them. The command
    ignores it too while it starts them.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        return {_handed_in(pool, do, one): one for one in work}
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def _handed_in(pool: ProcessPoolExecutor, do: Callable[[W], R], one: W) -> Future[R]:
    try:
        return pool.submit(do, one)
    except BrokenProcessPool as error:  # a process has ended already
        future: Future[R] = Future()
        future.set_exception(error)
        return future
