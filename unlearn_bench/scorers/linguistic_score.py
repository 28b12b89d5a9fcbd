"""Linguistic score: ReLearn's one number for the language quality of a set of answers.

    LS = harmonic mean of sigma(-ln PPL), sigma(-ln BI), sigma(ln HS); PPL, BI, HS are first averaged over the set
       = 3 / (3 + PPL + BI + 1 / HS)                                        exactly, as sigma(-ln x) = 1 / (1 + x)

ReLearn (arXiv 2502.11190), eq. 3. In [0, 1], higher is better; at most about 0.27 for normal text (BI about 7).
Known weakness, kept because it is the paper's number: a repeated word has a low perplexity, so "at at at" can beat a
fluent answer. Read it together with `fluency` and `kfr_fluent`.

Differences between implementations: the paper's code drops empty answers from PPL, but gives them BI 1000 and HS 0;
here an empty answer also counts in PPL (see perplexity.py), so that falling silent lowers LS. An answer whose
perplexity is missing for another reason is unscored and counted; as in the paper's code, its BI and HS stay in their
means. Per sample, `ls` is the closed form of its own PPL, BI and HS.
"""

from collections.abc import Mapping

import numpy as np

from unlearn_bench.schema import Sample
from unlearn_bench.scorers import perplexity
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.brunet_index import SCORER as BRUNET_INDEX
from unlearn_bench.scorers.honore_statistic import SCORER as HONORE_STATISTIC

_COMPONENTS = ("perplexity", "brunet_index", "honore_statistic")


def linguistic_score(perplexity: float, brunet_index: float, honore_statistic: float) -> float:
    """LS from the set means of perplexity, Brunet's index and Honoré's statistic.

    >>> round(linguistic_score(7.43, 8.34, 1331), 3)  # the paper's Table 9, model before unlearning
    0.16
    """
    return float(_combine("ls", np.array([perplexity, brunet_index, honore_statistic])))


def _combine(metric: str, means: np.ndarray) -> np.ndarray:
    ppl, bi, hs = np.moveaxis(np.asarray(means, dtype=float), -1, 0)
    # HS / (HS (3 + PPL + BI) + 1) is the closed form without its division by zero: LS is 0 where HS is
    return 3 * hs / (hs * (3 + ppl + bi) + 1)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    scores: dict[str, float | Unscored] = dict(perplexity.SCORER.score(sample, options))
    scores |= BRUNET_INDEX.score(sample, options) | HONORE_STATISTIC.score(sample, options)
    values = [scores[name] for name in _COMPONENTS]
    missing = [value for value in values if isinstance(value, Unscored)]
    known = [value for value in values if not isinstance(value, Unscored)]
    scores["ls"] = missing[0] if missing else linguistic_score(*known)
    return scores


SCORER = Scorer(
    metrics=(
        Metric("ls", "corpus", higher_is_better=True, components=_COMPONENTS),
        *perplexity.SCORER.metrics,
        *BRUNET_INDEX.metrics,
        *HONORE_STATISTIC.metrics,
    ),
    score=_score,
    needs=frozenset({"perplexity"}),
    combine=_combine,
    options=perplexity.OPTIONS,
    uses=_COMPONENTS,
)
