"""What the membership summaries share: the AUC of a per-answer score between forget rows and holdout rows."""

from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.stats.auc import auc
from unlearn_bench.summaries.base import Estimate, Rows, Scores, Summary, scores_of

UNMEASURED = {"gradnorm": "no_gradients"}


def membership(name: str, scorer: str) -> Summary:
    """The AUC of a scorer's number, lower on members: 1 where the model's training shows on every forget row."""

    def compute(rows: Rows) -> dict[str, Estimate | Unscored]:
        return {name: between(*(scores_of(rows.samples.get(role, ()), scorer) for role in ("forget", "holdout")), rows)}

    def between(members: Scores, others: Scores, rows: Rows) -> Estimate | Unscored:
        if not members.values or not others.values:
            return Unscored(why_none(rows, scorer))
        return estimate(members, others)

    made = SCORERS.get(scorer)
    options = {key: default for key, default in made.options.items() if key not in made.later_options}
    return Summary(metrics=(Metric(name, "mean", None),), compute=compute, uses=(scorer,), options=options)


def estimate(members: Scores, others: Scores) -> Estimate:
    """The AUC with its interval."""
    value, interval = auc(members.values, others.values, members.clusters, others.clusters)
    return Estimate(value, interval, len(members.values) + len(others.values))


def why_none(rows: Rows, scorer: str) -> str:
    """Why a score cannot be compared: no such rows, no row of a role that has it (then a reason), or no oracle's."""
    for role in ("forget", "holdout"):
        samples = rows.samples.get(role, ())
        if not samples:
            return f"no_{role}_rows"
        if not scores_of(samples, scorer).values:
            return next(
                (s.unscored[scorer] for s in samples if scorer in s.unscored), UNMEASURED.get(scorer, f"no_{scorer}")
            )
    return f"no_{scorer}_of_the_oracle"
