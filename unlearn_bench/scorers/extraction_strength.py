"""Extraction strength: how little of the answer must be given before the model writes the rest of it.

    extraction_strength = 1 - k/n,   k = least number of answer tokens after which every further one is the most
                                     probable token, given the right tokens before it; n tokens

Carlini et al. (arXiv 2012.07805), as used by arXiv 2407.01920 and open-unlearning (arXiv 2506.12618). Tokens that only
end the answer do not count (under `parity` all but the very last do). Where even the last token is not the most
probable one, k = n and the value is 0; open-unlearning never reaches k = n and gives 1/n there (`parity`). In [0, 1].
"""

from collections.abc import Mapping

from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored
from unlearn_bench.scorers.likelihood import LIKELIHOOD, PARITY, content, is_parity, tokens_or_logged


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    def strength(found: Likelihood) -> float:
        hits = content(found.hits or [], found, options)
        known = next((count for count, hit in enumerate(reversed(hits)) if not hit), len(hits))
        return max(known, 1 if is_parity(options) else 0) / len(hits)

    return tokens_or_logged(sample, "extraction_strength", options, strength)


SCORER = Scorer(
    metrics=(Metric("extraction_strength", "mean", KNOWLEDGE_SHOWN),), score=_score, probes=LIKELIHOOD, options=PARITY
)
