"""What a run tells while it works, and how long its stages take."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

    from unlearn_bench.harness.observations import Generate


@dataclass(frozen=True)
class Progress:
    """What a run tells while it works: the stage it enters, how many answers it will make, how many were just made."""

    stage: Callable[[str], None] = lambda name: None
    total: Callable[[int], None] = lambda count: None
    answers: Callable[[int], None] = lambda count: None


@contextmanager
def timed(timing: dict[str, float], stage: str, progress: Progress) -> Iterator[None]:
    """Announce a stage and add its seconds to `timing`."""
    progress.stage(stage)
    start = time.perf_counter()
    yield
    timing[stage] = timing.get(stage, 0.0) + time.perf_counter() - start


def announced(generate: "Generate", progress: Progress) -> "Generate":
    """A `generate_until` that says how many answers it is about to make, those of earlier calls included."""
    so_far = 0

    def generate_until(requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        nonlocal so_far
        so_far += len(requests)
        progress.total(so_far)
        return generate(requests, disable_tqdm)

    return generate_until


def reporting(lm: "LM", progress: Progress) -> "Generate":
    """The model's `generate_until`, telling of answers as they finish, or of all at the end where the model cannot."""
    generate = lm.generate_until
    if hasattr(lm, "on_finish"):
        lm.on_finish = progress.answers
        return generate

    def generate_until(requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        answers = generate(requests, disable_tqdm=disable_tqdm)
        progress.answers(len(answers))
        return answers

    return generate_until


def timed_call(call: Callable, timing: dict[str, float]) -> Callable:
    """A call whose seconds are added to `timing` as "generate"."""

    def called(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            timing["generate"] = timing.get("generate", 0.0) + time.perf_counter() - start

    return called
