"""Min-K: mean negative log-probability of the answer's least probable tokens, in nats.

    min_k = -(1/m) * sum over the m lowest of ln p(a_i | q, a_<i),   m = max(1, floor(K * n)),   K = 0.4

Shi et al. (arXiv 2310.16789), eq. 1; K = 0.4 as in MUSE and open-unlearning (`min_k_share`). Tokens that only end the
answer do not count (all but the very last do under `parity`). At least 0; descriptive. `mia_min_k` and `privleak`
compare it between members and others.
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
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


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return tokens_or_logged(sample, "min_k", options, lambda found: min_k(found.logprobs or [], found, options))


SCORER = Scorer(
    metrics=(Metric("min_k", "mean", None, (0.0, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD,
    options={**MIN_K, **PARITY},
    later_options=frozenset(PARITY),
    roles=MEMBERSHIP_ROLES,
)
