"""Gradient norm of the answer's loss: small where the model was trained on it.

    gradnorm = mean over the weight tensors W of || d loss / d W ||_2

Wang et al. (arXiv 2402.03967); the mean over tensors is open-unlearning's. It needs a backward pass for each row, which
no probe makes: the value is there where a log brings it, and unscored elsewhere. At least 0; descriptive.
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.likelihood import LIKELIHOOD, MEMBERSHIP_ROLES, UNBOUNDED


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    return {"gradnorm": (sample.logged or {}).get("gradnorm", Unscored("no_gradients"))}


SCORER = Scorer(
    metrics=(Metric("gradnorm", "mean", None, (0.0, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD,
    roles=MEMBERSHIP_ROLES,
)
