"""Membership by the loss against an oracle's: how much more probable a row is than to a model that never saw it.

    mia_reference = AUC of loss_model - loss_oracle,   AUC as in `mia_loss`

Carlini et al. (arXiv 2112.03570), simplified to one reference model, as in open-unlearning, whose logs use the
retrained model. A log's own differences (`loss_reference`) come first; without them, and without an oracle, it is
undefined. In [0, 1]; 0.5 where forget rows are no more probable than to the oracle. Interval: DeLong's, over clusters.
"""

from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.summaries.base import NO_ORACLE, Estimate, Rows, Scores, Summary, both, scores, scores_of
from unlearn_bench.summaries.membership import estimate, why_none


def _compute(rows: Rows) -> dict[str, Estimate | Unscored]:
    sides = [_differences(rows, role) for role in ("forget", "holdout")]
    if not all(side.values for side in sides):
        missing = Unscored(why_none(rows, "loss")) if rows.oracle is not None else NO_ORACLE
        return {"mia_reference": missing}
    return {"mia_reference": estimate(*sides)}


def _differences(rows: Rows, role: str) -> Scores:
    own = scores(rows.samples.get(role, ()), lambda sample: (sample.logged or {}).get("loss_reference"))
    if own.values or rows.oracle is None:
        return own
    ours, theirs = both(*(scores_of(side.get(role, ()), "loss") for side in (rows.samples, rows.oracle)))
    values = [a - b for a, b in zip(ours.values, theirs.values, strict=True)]
    return ours._replace(values=values)


SUMMARY = Summary(metrics=(Metric("mia_reference", "mean", None),), compute=_compute, uses=("loss",), oracle=True)
