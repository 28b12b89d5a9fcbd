"""Correlation of metrics over the models of a pool: which of them say the same.

Spearman's rho (of ranks, ties at their mean rank) and Pearson's r, both over the models that have both values. Values
are amounts of knowledge, so that metrics that agree correlate positively whichever way they point. Undefined, and not
0, where a metric is the same for all models, or fewer than three models have both.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEAST = 3
Matrix = list[list[float | None]]


def correlations(columns: Mapping[str, Sequence[float | None]]) -> tuple[Matrix, Matrix]:
    """Spearman's and Pearson's correlation of each metric with each, in the order of the columns.

    Args:
        columns: Metric to its value for every model, in one order; None where a model has none.

    >>> spearman, pearson = correlations({"a": [1.0, 2.0, 3.0], "b": [1.0, 4.0, 9.0], "c": [5.0, 5.0, 5.0]})
    >>> spearman[0], round(pearson[0][1], 3)
    ([1.0, 1.0, None], 0.99)
    """
    import numpy as np

    values = [np.array([np.nan if v is None else v for v in column], dtype=float) for column in columns.values()]
    pairs = [[_both(one, other) for other in values] for one in values]
    return tuple([[how(*pair) for pair in row] for row in pairs] for how in (_spearman, _pearson))


def _both(one: "np.ndarray", other: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    present = np.isfinite(one) & np.isfinite(other)
    return one[present], other[present]


def _spearman(one: "np.ndarray", other: "np.ndarray") -> float | None:
    from scipy.stats import rankdata

    return _pearson(rankdata(one), rankdata(other))


def _pearson(one: "np.ndarray", other: "np.ndarray") -> float | None:
    import numpy as np

    if len(one) < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1.0, 1.0))
