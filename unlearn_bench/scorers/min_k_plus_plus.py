"""Min-K++: Min-K of log-probabilities that are normalised by those of the whole vocabulary at the same place.

    z_i = (ln p(a_i | q, a_<i) - mu_i) / sigma_i,   mu, sigma: mean and deviation of ln p(v | …) over v, weighted by p
    min_k_plus_plus = -(1/m) * sum over the m lowest z_i,   m = max(1, floor(K * n)),   K = 0.4

Zhang et al. (arXiv 2404.02936), eq. 3. The variance is at least 1e-6, as in open-unlearning. Tokens that only end the
answer do not count (all but the very last do under `parity`). Unbounded; descriptive. `mia_min_k_plus_plus` compares
it between members and others.
"""

import math
from collections.abc import Mapping

from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.likelihood import (
    LIKELIHOOD,
    MEMBERSHIP_ROLES,
    MIN_K,
    PARITY,
    UNBOUNDED,
    min_k,
    tokens_or_logged,
)

_LEAST_VARIANCE = 1e-6


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    def least(found: Likelihood) -> float | Unscored:
        if found.means is None or found.variances is None:
            return Unscored("no_vocabulary_moments")
        triples = zip(found.logprobs or [], found.means, found.variances, strict=True)
        z = [(lp - mean) / math.sqrt(max(variance, _LEAST_VARIANCE)) for lp, mean, variance in triples]
        return min_k(z, found, options)

    return tokens_or_logged(sample, "min_k_plus_plus", options, least)


SCORER = Scorer(
    metrics=(Metric("min_k_plus_plus", "mean", None, (-UNBOUNDED, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD,
    options={**MIN_K, **PARITY},
    later_options=frozenset(PARITY),
    roles=MEMBERSHIP_ROLES,
)
