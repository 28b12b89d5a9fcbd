"""Forget quality: whether the truth ratios on the forget set are those of a model that never saw it.

    forget_quality = p-value of the two-sample Kolmogorov-Smirnov test between r of the model and r of the oracle
    forget_ks = max over t of |F_model(t) - F_oracle(t)|,   F: share of the rows with r <= t
    forget_shift = mean over the rows of ln r_model - ln r_oracle
    forget_shift_p = p-value of the paired test that this mean is 0 (t test over clusters)

TOFU (arXiv 2401.06121), section 3.1; r as in `truth_ratio`. Undefined without an oracle. The p-value treats the two
lists as independent samples of independent rows, and neither holds: the rows are the same, and 20 are about one author.
Its floor depends on n alone, two perfect models draw it from U(0, 1), and a model with a tenth of the knowledge left
may get 0.45 to 0.79. The distance `forget_ks` (0: the oracle's distribution) and the paired `forget_shift` (0: the
oracle's mean; below: the right answer stands out more, so something is still known) say how far the model is.

locuslab/tofu stores 1/r: the same p-value. open-unlearning adds 1e-10 to the probability below r (`parity`).
"""

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.scorers.likelihood import PARITY
from unlearn_bench.scorers.truth_ratio import log_truth_ratio
from unlearn_bench.stats.intervals import Interval
from unlearn_bench.summaries.base import NO_ORACLE, Estimate, Rows, Scores, Summary, asks, both, scores

METRICS = (
    Metric("forget_quality", "mean", None),
    Metric("forget_ks", "mean", higher_is_better=False),
    Metric("forget_shift", "mean", None, (float("-inf"), float("inf"))),
    Metric("forget_shift_p", "mean", None),
)
_RESAMPLES = 2000


def _compute(rows: Rows) -> dict[str, Estimate | Unscored]:
    def ratio(sample: Sample) -> float | None:
        found = log_truth_ratio(sample, {**PARITY, **rows.options})
        return None if isinstance(found, Unscored) else found

    if rows.oracle is None:
        return dict.fromkeys((metric.name for metric in METRICS), NO_ORACLE)
    ours = scores(rows.samples.get("forget", ()), ratio)
    theirs = scores(rows.oracle.get("forget", ()), ratio)
    ours, theirs = both(ours, theirs)
    if not ours.values:
        return dict.fromkeys((metric.name for metric in METRICS), Unscored("no_truth_ratio"))
    return compared(ours, theirs)


def compared(ours: Scores, theirs: Scores) -> dict[str, Estimate | Unscored]:
    """The four numbers from ln r of the same rows under the model and the oracle."""
    from scipy.stats import ks_2samp

    from unlearn_bench.stats.differences import paired_difference

    n = len(ours.values)
    test = ks_2samp(ours.values, theirs.values)
    paired = paired_difference(theirs.values, ours.values, ours.clusters)
    return {
        "forget_quality": Estimate(float(test.pvalue), None, n),
        "forget_ks": Estimate(float(test.statistic), _distance_interval(ours, theirs), n),
        "forget_shift": Estimate(paired.difference, paired.interval, n),
        "forget_shift_p": Estimate(paired.p_value, None, n),
    }


def _distance_interval(ours: Scores, theirs: Scores) -> Interval | None:
    """Percentile bootstrap of the distance, over clusters; a row is drawn with both of its ratios."""
    import numpy as np

    from unlearn_bench.stats.intervals import bootstrap

    x, y = np.array(ours.values)[:, None], np.array(theirs.values)[:, None]
    places = np.unique(np.vstack([x, y]))[None, :]
    steps = (x <= places).astype(float) - (y <= places)
    return bootstrap(steps, ours.clusters, combine=lambda means: np.abs(means).max(axis=-1), resamples=_RESAMPLES)


def _belongs(rows: Rows) -> bool:
    """Whether forget rows have what the truth ratio is made of, or were asked for it."""
    forget = rows.samples.get("forget", ())
    return asks("truth_ratio")(rows) or any("paraphrased_answer" in (s.likelihoods or {}) for s in forget)


SUMMARY = Summary(
    metrics=METRICS,
    compute=_compute,
    belongs=_belongs,
    uses=("truth_ratio",),
    oracle=True,
    options=PARITY,
)
