"""N-gram entropy: how evenly the bigrams and trigrams of an answer are spread; near 0 for repetition.

    ngram_entropy = 1/2 * ( 2/3 * H_2 + 4/3 * H_3 ),     H_n = -sum over distinct n-grams g of p(g) * log2 p(g)

Zhang et al. (arXiv 1809.05972) as ROME (arXiv 2202.05262) and RWKU (arXiv 2406.10890) weigh it; in bits. RWKU prints it
times 100 as "Flu". At least 0; 0 for fewer than three tokens. Tokens are NLTK's of the text as it is written, with the
built-in sentence splitter (`text.tokenize`), so that every machine gives the same number: within 0.002 of NLTK with
its data file on RWKU's published answers. It grows with length: compare it with the original's.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.text.tokenize import tokenizer

_WEIGHTS = {2: 2 / 3, 3: 4 / 3}


def ngram_entropy(text: str) -> float:
    """In bits.

    >>> round(ngram_entropy("a b c d"), 12), ngram_entropy("a a a a a a"), ngram_entropy("")
    (1.19498750024, 0.0, 0.0)
    """
    tokens = tokenizer(builtin=True).split(text)
    return math.fsum(weight * _entropy(tokens, n) for n, weight in _WEIGHTS.items()) / len(_WEIGHTS)


def _entropy(tokens: Sequence[str], n: int) -> float:
    counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
    total = counts.total()
    return -math.fsum(c / total * math.log2(c / total) for c in counts.values()) if len(counts) > 1 else 0.0


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    return {"ngram_entropy": ngram_entropy(sample.response)}


SCORER = Scorer(
    metrics=(Metric("ngram_entropy", "mean", {"fluency": True}, (0.0, math.inf)),),
    score=_score,
    uses=("words",),
)
