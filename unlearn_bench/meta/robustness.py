"""Robustness: does a metric say the same after relearning and after quantisation?

    relearning     one-sided   R = min(D_oracle / D_unlearned, 1)
                   symmetric   R = 1 - |D_unlearned - D_oracle| / (|D_unlearned| + |D_oracle|)
    quantisation   one-sided   Q = min(m_after / m_before, 1)
                   symmetric   Q = 1 - |m_after - m_before| / (|m_before| + |m_after|)

    m: the metric as an amount of knowledge;  D = m_after - m_before of the unlearned model, and of the oracle

The one-sided forms are OpenUnlearning's (arXiv 2506.12618, section 4.2), as the UDS paper's code quotes them; the
symmetric ones are UDS's (arXiv 2605.24614). All in [0, 1]. A metric that was right to call a model unlearned does not
see knowledge come back faster than in a model that never had it, and is not moved by a change of precision. One-sided Q
punishes only a fall of the knowledge shown: knowledge that comes back leaves it at 1. A negative one-sided R (the two
move apart) counts as 0. Where neither moves the symmetric forms are 1, the one-sided R is undefined.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from unlearn_bench.stats.intervals import bootstrap


class Robustness(NamedTuple):
    """Means over models, each in [0, 1]; None where no model has a value.

    Attributes:
        symmetric, one_sided: Means of the two forms.
        ci95: Bootstrap interval of the symmetric form over models; None for one model.
        n: Models behind the symmetric form.
        n_one_sided: Models behind the other one.
    """

    symmetric: float | None
    one_sided: float | None
    ci95: tuple[float, float] | None
    n: int
    n_one_sided: int


def relearning(unlearned: tuple[float, float], oracle: tuple[float, float]) -> tuple[float, float | None]:
    """R of one model: symmetric, and one-sided (None where the model does not move).

    Args:
        unlearned: Amount of knowledge before and after relearning.
        oracle: The same of a model that never knew.

    >>> relearning((0.0, 0.5), (0.0, 0.25)), relearning((0.2, 0.2), (0.2, 0.2))
    ((0.6666666666666667, 0.5), (1.0, None))
    """
    ours, theirs = (after - before for before, after in (unlearned, oracle))
    one_sided = None if ours == 0 else min(max(theirs / ours, 0.0), 1.0)
    return _alike(ours, theirs), one_sided


def quantization(before: float, after: float) -> tuple[float, float | None]:
    """Q of one model: symmetric, and one-sided (None where nothing was shown before).

    >>> quantization(0.2, 0.1), quantization(0.1, 0.2)
    ((0.6666666666666667, 0.5), (0.6666666666666667, 1.0))
    """
    return _alike(before, after), min(after / before, 1.0) if before > 0 else None


def _alike(one: float, other: float) -> float:
    size = abs(one) + abs(other)
    return 1.0 if size == 0 else 1 - min(abs(one - other) / size, 1.0)


def mean_of(values: Sequence[tuple[float, float | None]]) -> Robustness:
    """Both forms over models.

    >>> mean_of([(1.0, None), (0.5, 0.25)])[:2], mean_of([])[:2]
    ((0.75, 0.25), (None, None))
    """
    symmetric = [one for one, _ in values]
    one_sided = [other for _, other in values if other is not None]
    interval = bootstrap(symmetric, resamples=4000) if len(symmetric) > 1 else None
    return Robustness(
        math.fsum(symmetric) / len(symmetric) if symmetric else None,
        math.fsum(one_sided) / len(one_sided) if one_sided else None,
        None if interval is None else (interval.low, interval.high),
        len(symmetric),
        len(one_sided),
    )


def harmonic(values: Sequence[float | None]) -> float | None:
    """Harmonic mean; 0 where one of them is 0, None where one is missing.

    >>> harmonic([1.0, 0.5]), harmonic([0.0, 1.0]), harmonic([None, 1.0])
    (0.6666666666666666, 0.0, None)
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    return 0.0 if min(known) <= 0 else len(known) / math.fsum(1 / value for value in known)
