"""Area under the ROC curve of a score, with the interval of DeLong et al. (1988), over clusters where there are some.

    AUC = P(y > x) + P(y = x) / 2,   x of the members, y of the others
    V10_i = share of the y above x_i,   V01_j = share of the x below y_j      (ties count half)
    Var(AUC) = Var(mean V10) + Var(mean V01)

The variances are cluster-robust (Obuchowski 1997, Biometrics 53:567, for clusters that hold one kind only). The
interval is symmetric in the log odds; where all x are below all y, or none, it is Wilson's with the fewer units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearn_bench.stats.distributions import t_quantile
from unlearn_bench.stats.intervals import Interval, standard_error, wilson

if TYPE_CHECKING:
    import numpy as np


def placements(members: Sequence[float], others: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """V10 (one a member) and V01 (one of each other); the mean of either is the AUC.

    >>> [v.tolist() for v in placements([1.0, 3.0], [2.0, 3.0])]
    [[1.0, 0.25], [0.5, 0.75]]
    """
    import numpy as np

    x, y = np.asarray(members, dtype=float), np.asarray(others, dtype=float)

    def below(values: np.ndarray, among: np.ndarray) -> np.ndarray:
        ordered = np.sort(among)
        both = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        return both / (2 * len(among))

    return 1 - below(x, y), below(y, x)


def auc(
    members: Sequence[float],
    others: Sequence[float],
    member_clusters: Sequence[str] | None = None,
    other_clusters: Sequence[str] | None = None,
) -> tuple[float, Interval | None]:
    """The AUC, and its 95 % interval; None with fewer than two units on a side.

    >>> value, interval = auc([1.0, 2.0, 3.0], [2.5, 4.0, 5.0])
    >>> round(value, 3), interval.low < value < interval.high
    (0.889, True)
    """
    v10, v01 = placements(members, others)
    value = float(v10.mean())
    name = "delong" if member_clusters is None and other_clusters is None else "cluster_delong"
    (se10, units10), (se01, units01) = standard_error(v10, member_clusters), standard_error(v01, other_clusters)
    units, se = min(units10, units01), math.hypot(se10, se01)
    if units < 2:
        return value, None
    if not 0 < value < 1 or se == 0:
        low, high, _, _ = wilson(value * units, units)
        return value, Interval(low, high, name, units)
    half = t_quantile(0.975, units - 1) * se / (value * (1 - value))
    centre = math.log(value / (1 - value))
    low, high = (1 / (1 + math.exp(-end)) for end in (centre - half, centre + half))
    return value, Interval(low, high, name, units)
