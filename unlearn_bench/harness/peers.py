"""The tasks of this project that one evaluation of lm-eval holds: `ls` scores the answers of the others.

lm-eval builds all tasks of an evaluation before it builds the first request, so a task that is constructed after that
belongs to the next evaluation. This module's state is read under stock `lm_eval run` only; `unlearn-bench run` has a
plan instead.
"""

from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from unlearn_bench.harness.tasks import UnlearnTask


class _Evaluation:
    def __init__(self) -> None:
        self.tasks: WeakSet[UnlearnTask] = WeakSet()
        self.asked = False


_current = _Evaluation()


def join(task: "UnlearnTask") -> "WeakSet[UnlearnTask]":
    """Enter a task that was just constructed; returns all tasks of its evaluation, those that join later included."""
    global _current
    if _current.asked:
        _current = _Evaluation()
    _current.tasks.add(task)
    return _current.tasks


def close() -> None:
    """The first request is built: no further task belongs to this evaluation."""
    _current.asked = True
