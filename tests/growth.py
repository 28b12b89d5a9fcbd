"""How work grows with its input: shown by a ratio on the same machine, so that a slow one passes too."""

import time
from collections.abc import Callable


def growth(work: Callable[[str], object], unit: str, *, size: int = 3_000, tries: int = 10) -> float:
    """This thread's processor time for `unit` repeated to 4 x `size` characters over that for `size`: about 4 where
    linear, 16 where quadratic. The smallest of several tries, as noise only adds.
    """
    small, large = (unit * (n // len(unit)) for n in (size, 4 * size))
    work(small)
    ratio = float("inf")
    for _ in range(tries):
        ratio = min(ratio, _seconds(work, large) / max(_seconds(work, small), 1e-4))
        if ratio < 8:
            break
    return ratio


def _seconds(work: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    work(text)
    return time.thread_time() - start
