"""What a run reports while it works, and how long its stages take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress of a run: the stage it enters, how many answers it will make, how many were just made."""

    stage: Callable[[str], None] = lambda name: None
    total: Callable[[int], None] = lambda count: None
    answers: Callable[[int], None] = lambda count: None


@contextmanager
def timed(timing: dict[str, float], stage: str, progress: Progress = Progress()) -> Iterator[None]:
    """Announce a stage and add its seconds to `timing`, those before an error included."""
    progress.stage(stage)
    start = time.perf_counter()
    try:
        yield
    finally:
        timing[stage] = timing.get(stage, 0.0) + time.perf_counter() - start
