"""Loss over the length of the compressed answer: how surprising a text is beyond what makes it long and varied.

    loss_zlib = loss / bytes of zlib(answer)

Carlini et al. (arXiv 2012.07805), section 5.1; `mia_zlib` compares it between members and others. Loss is the mean over
tokens, as in open-unlearning; MUSE's own code divides the mean too. At least 0, nats per byte; descriptive.
"""

import zlib
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored, likelihood_of
from unlearn_bench.scorers.likelihood import LIKELIHOOD, MEMBERSHIP_ROLES, UNBOUNDED


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    found = likelihood_of(sample, "answer")
    if sample.logged and "loss_zlib" in sample.logged:
        return {"loss_zlib": sample.logged["loss_zlib"]}  # a log may leave the text out
    if isinstance(found, Unscored):
        return {"loss_zlib": found}
    if not sample.reference:
        return {"loss_zlib": Unscored("no_reference")}
    return {"loss_zlib": -found.mean_logprob / len(zlib.compress(sample.reference.encode()))}


SCORER = Scorer(
    metrics=(Metric("loss_zlib", "mean", None, (0.0, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD,
    roles=MEMBERSHIP_ROLES,
)
