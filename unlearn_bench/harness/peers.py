"""The tasks of this project that one evaluation of lm-eval holds: `ls` scores the answers of the others.

lm-eval builds all tasks of an evaluation before it builds the first request, so a task that is constructed after that
belongs to the next evaluation. This module's state is read under stock `lm_eval run` only; `unlearn-bench run` has a
plan instead.
"""

from typing import Any
from weakref import WeakSet


class _Evaluation:
    def __init__(self) -> None:
        self.tasks: WeakSet[Any] = WeakSet()
        self.asked = False


_current = _Evaluation()


def join(task: Any) -> WeakSet[Any]:
    """Enter a task that was just constructed; returns all tasks of its evaluation, those that join later included."""
    global _current
    if _current.asked:
        _current = _Evaluation()
    _current.tasks.add(task)
    return _current.tasks


def close() -> None:
    """The first request is built: no further task belongs to this evaluation."""
    _current.asked = True
