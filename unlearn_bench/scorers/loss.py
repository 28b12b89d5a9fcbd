"""Loss of the reference answer: mean negative log-probability of its tokens, in nats.

    loss = -(1/n) * sum over i of ln p(a_i | q, a_<i)

The membership score of Yeom et al. (arXiv 1709.01604); `mia_loss` compares it between members and others. n counts the
token that ends the answer, as in open-unlearning. At least 0; descriptive. RWKU (arXiv 2406.10890) prints the mean over
texts of the forget and of the retain person, times 100, as FM and RM.
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored, likelihood_of
from unlearn_bench.scorers.likelihood import LIKELIHOOD, MEMBERSHIP_ROLES, UNBOUNDED


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    found = likelihood_of(sample, "answer")
    return {"loss": found if isinstance(found, Unscored) else -found.mean_logprob}


SCORER = Scorer(
    metrics=(Metric("loss", "mean", None, (0.0, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD,
    roles=MEMBERSHIP_ROLES | {"retain"},
)
