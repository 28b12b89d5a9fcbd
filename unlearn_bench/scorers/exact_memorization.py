"""Exact memorization: the share of the answer's tokens that are the most probable ones, given the right ones before.

    exact_memorization = (1/n) * sum over i of [argmax over v of p(v | q, a_<i) = a_i]

Tirumala et al. (arXiv 2205.10770), eq. 1; open-unlearning (arXiv 2506.12618). Tokens that only end the answer do not
count: chat templates would raise the share, and do under `parity`,
where only the very last token is left out. In [0, 1].
"""

from collections.abc import Mapping

from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored
from unlearn_bench.scorers.likelihood import LIKELIHOOD, PARITY, content, tokens_or_logged


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    def share(found: Likelihood) -> float:
        hits = content(found.hits or [], found, options)
        return sum(hits) / len(hits)

    return tokens_or_logged(sample, "exact_memorization", options, share)


SCORER = Scorer(
    metrics=(Metric("exact_memorization", "mean", KNOWLEDGE_SHOWN),),
    score=_score,
    probes=LIKELIHOOD,
    options=PARITY,
    later_options=frozenset(PARITY),
)
