"""Batches of a small model side by side on the CPU: each in a thread of Python, one core for each operation.

torch shares one operation among all cores. The matrices of a small model are too small for that: with two cores the
threads wait for each other longer than they save. Its batches do not depend on one another, and torch lets other
threads of Python run while it computes. An operation on one core has the same bits however many cores there are, and
so have the results.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MOST_WEIGHTS = 1 << 24  # of a small model: it stays in the processor's cache
MOST_THREADS = 8  # each holds the activations of a batch, and Python itself runs in one of them at a time

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""A function and its arguments, one by one, to the results in their order: what `map` does."""


@contextmanager
def side_by_side(model: "torch.nn.Module") -> Iterator[Each]:
    """`map` over batches, in as many threads as torch may use cores; plain `map` where an operation uses them better.

    Args:
        model: Its size and its device decide.
    """
    import torch

    cores = torch.get_num_threads()
    if cores == 1 or not _is_small(model):
        yield map
        return
    with (
        one_core_each(model),
        ThreadPoolExecutor(min(cores, MOST_THREADS), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        yield pool.map


@contextmanager
def one_core_each(model: "torch.nn.Module") -> Iterator[None]:
    """An operation of a small model on the CPU takes one core inside."""
    import torch

    cores = torch.get_num_threads()
    if _is_small(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(cores)


def _is_small(model: "torch.nn.Module") -> bool:
    weights = list(model.parameters())
    return all(weight.device.type == "cpu" for weight in weights) and sum(w.numel() for w in weights) < MOST_WEIGHTS
