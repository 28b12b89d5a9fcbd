"""How near LUME's twelve components are to those of a model that never saw the forget set.

    lume_anchored = harmonic mean over the components of 1 - |c - c_oracle| / max(c_oracle, 1 - c_oracle)

This project's; components as in `lume`. In [0, 1]: 1 where each component is the oracle's. A collapsed model, whose
retain components are 0, has nearly 0, as has one that forgot nothing; forgetting more than the oracle lowers it too.
Undefined without an oracle, or where a component is missing. Interval: delta method over documents, the rows being the
same under both models.
"""

import math

from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.summaries.base import NO_ORACLE, Estimate, Rows, Summary, both
from unlearn_bench.summaries.lume import average, belongs, components, harmonic


def _compute(rows: Rows) -> dict[str, Estimate | Unscored]:
    return {"lume_anchored": _anchored(rows)}


def _anchored(rows: Rows) -> Estimate | Unscored:
    if rows.oracle is None:
        return NO_ORACLE
    ours, theirs = components(rows.samples), components(rows.oracle)
    pairs = {name: both(ours[name], theirs[name]) for name in ours}
    lacking = [name for name, (own, _) in pairs.items() if not own.values]
    if lacking:
        return Unscored(f"no_{lacking[0]}_of_both")
    good, values = {}, {}
    for name, (own, other) in pairs.items():
        distance, reach = average(own) - average(other), max(average(other), 1 - average(other))
        good[name] = 1 - abs(distance) / reach
        sign = -math.copysign(1 / reach, distance)
        values[name] = [sign * (x - y) for x, y in zip(own.values, other.values, strict=True)]
    return harmonic(good, values, {name: own for name, (own, _) in pairs.items()})


SUMMARY = Summary(
    metrics=(Metric("lume_anchored", "mean", higher_is_better=True),),
    compute=_compute,
    belongs=belongs,
    uses=("rouge", "literal_match"),
    oracle=True,
)
