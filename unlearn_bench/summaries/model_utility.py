"""Model utility: what a checkpoint still knows and says of everything that it should keep, in one number.

    model_utility = harmonic mean of nine: {retain, neighbour, world} x {probability, rougeL_recall, truth_ratio}

TOFU (arXiv 2401.06121), section 3.1: retain set, real authors, world facts; the probability of the last two is
`probability_normalised`. In [0, 1]; 0 where one of the nine is 0. Undefined where one is missing, as a mean of fewer
would be another number. The interval is the delta method's, over clusters, the roles being independent of one another.
"""

import math
from collections.abc import Sequence

from unlearn_bench.schema import Role
from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.stats.intervals import Interval
from unlearn_bench.summaries.base import Estimate, Rows, Summary, asks, scores_of

COMPONENTS: tuple[tuple[Role, str], ...] = (
    ("retain", "probability"),
    ("retain", "rougeL_recall"),
    ("retain", "truth_ratio"),
    ("neighbour", "probability_normalised"),
    ("neighbour", "rougeL_recall"),
    ("neighbour", "truth_ratio"),
    ("world", "probability_normalised"),
    ("world", "rougeL_recall"),
    ("world", "truth_ratio"),
)


def component_means(rows: Rows) -> dict[tuple[Role, str], float | None]:
    """Each component's mean; None where no answer of its role is scored."""
    found = {(role, metric): scores_of(rows.samples.get(role, ()), metric).values for role, metric in COMPONENTS}
    return {key: math.fsum(values) / len(values) if values else None for key, values in found.items()}


def _compute(rows: Rows) -> dict[str, Estimate | Unscored]:
    means = component_means(rows)
    lacking = [f"{role}_{metric}" for (role, metric), mean in means.items() if mean is None]
    if lacking:
        return {"model_utility": Unscored(f"no_{lacking[0]}" + (f"_and_{len(lacking) - 1}_more" * (len(lacking) > 1)))}
    known = [mean for mean in means.values() if mean is not None]
    n = sum(len(scores_of(rows.samples[role], "truth_ratio").values) for role in ("retain", "neighbour", "world"))
    if min(known) <= 0:
        return {"model_utility": Estimate(0.0, None, n)}
    value = len(known) / math.fsum(1 / mean for mean in known)
    return {"model_utility": Estimate(value, _interval(rows, value, known), n)}


def _interval(rows: Rows, value: float, means: Sequence[float]) -> Interval | None:
    """Each answer's influence on the value, summed over the components of its role; then the variance over clusters."""
    from unlearn_bench.stats.distributions import t_quantile
    from unlearn_bench.stats.intervals import standard_error

    slopes = {key: value**2 / len(means) / mean**2 for key, mean in zip(COMPONENTS, means, strict=True)}
    variance, least = 0.0, math.inf
    for role in ("retain", "neighbour", "world"):
        samples = rows.samples[role]
        influence = [0.0] * len(samples)
        for key, mean in zip(COMPONENTS, means, strict=True):
            if key[0] != role:
                continue
            present = [i for i, sample in enumerate(samples) if key[1] in sample.scores]
            for i in present:
                weight = len(samples) / len(present)
                influence[i] += slopes[key] * weight * (samples[i].scores[key[1]] - mean)
        clusters = [sample.cluster for sample in samples]
        error, units = standard_error(influence, [str(c) for c in clusters] if _clustered(clusters) else None)
        if units < 2:
            return None
        variance, least = variance + error**2, min(least, units)
    half = t_quantile(0.975, int(least) - 1) * math.sqrt(variance)
    return Interval(max(0.0, value - half), min(1.0, value + half), "delta", int(least))


def _clustered(clusters: Sequence[str | None]) -> bool:
    return None not in clusters and len(set(clusters)) > 1


SUMMARY = Summary(
    metrics=(Metric("model_utility", "mean", higher_is_better=True),),
    compute=_compute,
    belongs=asks("truth_ratio"),
    uses=("probability", "probability_normalised", "truth_ratio", "rouge"),
)
