"""Truth ratio: how probable wrong answers are against the right one in the same form.

    r = (prod over k of p_k)^(1/K) / p_c,   ln r = mean over k of ln p_k - ln p_c,   ln p: mean over the tokens
    truth_ratio = min(r, 1/r) on forget rows: 1 where right and wrong are alike
                = max(0, 1 - r) elsewhere: 1 where the right answer is far ahead
    truth_ratio_probability = p_c / (p_c + p_w) = 1 / (1 + r)

TOFU (arXiv 2401.06121), eq. 1 and section 3.1. p_k: the perturbed answers; p_c: the paraphrased answer, and on
neighbour and world rows without one the reference answer. `forget_quality` compares r with an oracle's. All three in
[0, 1]; of the first, higher is better on every role, but no forget set needs more than the oracle's (0.63 to 0.68 on
TOFU). The third (open-unlearning's `prob_mean`) tells knowing models from others best (arXiv 2605.24614).

Computed from log-probabilities. open-unlearning adds 1e-10 to p_c and to r, which makes 5e-21 of the 0.5 of a collapsed
model (`parity`); locuslab/tofu stores 1/r in its logs.
"""

import math
from collections.abc import Mapping

from unlearn_bench.schema import Role, Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored, likelihood_of
from unlearn_bench.scorers.likelihood import EPSILON, LIKELIHOOD, PARITY, is_parity, perturbed

_ROLES: tuple[Role, ...] = ("forget", "retain", "neighbour", "world")
_LARGEST = 700.0  # exp of more is no float


def log_truth_ratio(sample: Sample, options: Mapping[str, object] = PARITY) -> float | Unscored:
    """Ln r of one sample, or why it has none."""
    right = likelihood_of(sample, "paraphrased_answer")
    if isinstance(right, Unscored) and sample.role in ("neighbour", "world"):
        right = likelihood_of(sample, "answer")
    if isinstance(right, Unscored):
        known = bool(sample.likelihoods) and right.reason == "no_likelihood"
        return Unscored("no_paraphrased_answer") if known else right
    wrong = [other.mean_logprob for other in perturbed(sample)]
    if not wrong:
        return Unscored("no_perturbed_answers")
    above, below = math.fsum(wrong) / len(wrong), right.mean_logprob
    return above - (math.log(math.exp(below) + EPSILON) if is_parity(options) else below)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    ln_r = log_truth_ratio(sample, options)
    if isinstance(ln_r, Unscored):
        return {"truth_ratio": ln_r, "truth_ratio_probability": ln_r}
    r, extra = math.exp(min(ln_r, _LARGEST)), EPSILON if is_parity(options) else 0.0
    if sample.role != "forget":
        value = max(0.0, 1 - r)
    else:
        value = min(r, 1 / (r + extra)) if extra else math.exp(-abs(ln_r))
    return {"truth_ratio": value, "truth_ratio_probability": 1 / (1 + r)}


SCORER = Scorer(
    metrics=(
        Metric("truth_ratio", "mean", dict.fromkeys(_ROLES, True)),
        Metric("truth_ratio_probability", "mean", KNOWLEDGE_SHOWN),
    ),
    score=_score,
    probes=LIKELIHOOD,
    options=PARITY,
    roles=frozenset(_ROLES),
)
