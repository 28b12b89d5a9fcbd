"""Brunet's index: how fast the vocabulary of a text is used up; about 7 for a fluent sentence, N for one word repeated.

    BI = N ** (V ** -0.165)        N tokens, V distinct tokens

ReLearn (arXiv 2502.11190), section 4.1; Brunet 1978. At least 1, lower is better. Tokens: `text.tokenize.words`,
punctuation included. The paper's code gives an empty text 1000, kept here: no answer must not look like a rich
vocabulary.
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.foreign import countable
from unlearn_bench.text.tokenize import words


def brunet_index(text: str, *, exponent: float = 0.165, empty: float = 1000.0) -> float:
    """Brunet's index of a text.

    >>> round(brunet_index("at " * 128), 6)
    128.0
    >>> brunet_index("")
    1000.0
    """
    tokens = words(text)
    return len(tokens) ** (len(set(tokens)) ** -exponent) if tokens else empty


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"brunet_index": countable(sample.response) or brunet_index(sample.response)}


SCORER = Scorer(
    metrics=(Metric("brunet_index", "mean", higher_is_better=False, bounds=(1.0, float("inf"))),),
    score=_score,
    uses=("words",),
    version=2,
)
