"""Probability of the reference answer among wrong ones: the share that it has of all their probabilities.

    probability_normalised = p / (p + sum over k of p_k),     p as in `probability`, p_k of the perturbed answers

TOFU (arXiv 2401.06121), section 3.1, for real authors and world facts (three wrong answers each). Here a softmax of
mean log-probabilities, so that four answers which are all improbable still have shares. open-unlearning divides by
(p + sum + 1e-10), so its shares go to 0 there (`parity`). In [0, 1], higher is better.
"""

import math
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored, likelihood_of
from unlearn_bench.scorers.likelihood import EPSILON, LIKELIHOOD, PARITY, is_parity, perturbed


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    found, wrong = likelihood_of(sample, "answer"), [other.mean_logprob for other in perturbed(sample)]
    if isinstance(found, Unscored):
        return {"probability_normalised": found}
    if not wrong:
        return {"probability_normalised": Unscored("no_perturbed_answers")}
    if is_parity(options):
        p = math.exp(found.mean_logprob)
        return {"probability_normalised": p / (p + math.fsum(map(math.exp, wrong)) + EPSILON)}
    # 1 / (1 + sum of odds); odds beyond the range of floats leave no share
    odds = [math.exp(min(700.0, other - found.mean_logprob)) for other in wrong]
    return {"probability_normalised": 1 / (1 + math.fsum(odds))}


SCORER = Scorer(
    metrics=(Metric("probability_normalised", "mean", {"neighbour": True, "world": True}),),
    score=_score,
    probes=LIKELIHOOD,
    options=PARITY,
    roles=frozenset({"neighbour", "world"}),
)
