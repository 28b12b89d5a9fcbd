"""Root type-token ratio (Guiraud's index): distinct tokens over the square root of all tokens.

    RTTR = V / sqrt(N)        N tokens, V distinct tokens

Guiraud 1954; `ttr` in the item files that ReLearn's code (arXiv 2502.11190) writes, not part of its linguistic score.
At least 0, higher is richer, but only descriptive: it grows with length. Tokens: `text.tokenize.words`. 0 for an empty
text.
"""

import math
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.foreign import countable
from unlearn_bench.text.tokenize import words


def root_ttr(text: str) -> float:
    """Root type-token ratio of a text.

    >>> root_ttr("a b a b")  # 2 / sqrt(4)
    1.0
    """
    tokens = words(text)
    return len(set(tokens)) / math.sqrt(len(tokens)) if tokens else 0.0


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"root_ttr": countable(sample.response) or root_ttr(sample.response)}


SCORER = Scorer(
    metrics=(Metric("root_ttr", "mean", higher_is_better=None, bounds=(0.0, float("inf"))),),
    score=_score,
    uses=("words",),
    version=2,
)
