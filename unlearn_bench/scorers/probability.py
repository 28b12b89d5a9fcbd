"""Probability of the reference answer: what the checkpoint would say of it, without having to say it.

    probability = exp( 1/T * sum_t ln p(a_t | prompt, a_<t) )        t over the T tokens of the answer

TOFU (arXiv 2401.06121), section 2.2.2: a geometric mean over tokens, P(a|q)^(1/|a|), in [0, 1]. On a forget set lower
is better, on a retain set higher. The T tokens include what ends the answer, as in TOFU's and open-unlearning's code.
"""

import math
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored, likelihood_of

NAME = "probability"


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    answer = likelihood_of(sample, "answer")
    return {NAME: answer if isinstance(answer, Unscored) else math.exp(min(answer.mean_logprob, 0.0))}


SCORER = Scorer(
    metrics=(Metric(NAME, "mean", KNOWLEDGE_SHOWN),),
    score=_score,
    probes=frozenset({"likelihood"}),
)
