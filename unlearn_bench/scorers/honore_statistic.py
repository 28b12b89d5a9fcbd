"""Honoré's statistic: how many words of a text occur only once; about 2000 for a fluent sentence.

    HS = min(1e6, 100 ln N / (1 - V1 / V + 0.1))        N tokens, V distinct tokens, V1 tokens that occur once

ReLearn (arXiv 2502.11190), section 4.1; Honoré 1979. In [0, 1e6], higher is better. The + 0.1 and the cap are only in
the paper's code, and the published numbers used them. Tokens: `text.tokenize.words`. 0 for at most one token.
"""

import math
from collections import Counter
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.foreign import countable
from unlearn_bench.text.tokenize import words


def honore_statistic(text: str, *, smoothing: float = 0.1, cap: float = 1e6) -> float:
    """Honoré's statistic of a text.

    >>> round(honore_statistic("at " * 128), 2)  # 100 ln 128 / 1.1
    441.09
    >>> honore_statistic("Sorry")
    0.0
    """
    tokens = words(text)
    if len(tokens) <= 1:
        return 0.0
    counts = Counter(tokens)
    once = sum(count == 1 for count in counts.values())
    return min(cap, 100 * math.log(len(tokens)) / (1 - once / len(counts) + smoothing))


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"honore_statistic": countable(sample.response) or honore_statistic(sample.response)}


SCORER = Scorer(
    metrics=(Metric("honore_statistic", "mean", higher_is_better=True, bounds=(0.0, 1e6)),),
    score=_score,
    uses=("words",),
    version=2,
)
