"""Token F1 of a short answer, the best over all right answers: SQuAD's measure, which RWKU reports on TriviaQA.

    token_f1 = max over right answers of 2 * P * R / (P + R)
    P = common tokens / tokens of the answer,   R = common tokens / tokens of the right answer

Rajpurkar et al. (arXiv 1606.05250). Tokens are lower-cased, without punctuation and articles, and count with their
multiplicity. In [0, 1]. Where one side has no token left, 1 if both have none, else 0.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normal_tokens(text: str) -> list[str]:
    """Tokens that count.

    >>> normal_tokens("The harbour, in Eldvik!")
    ['harbour', 'in', 'eldvik']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def token_f1(reference: str, response: str) -> float:
    """F1 against one right answer.

    >>> token_f1("Jon Haug", "It was Jon.")
    0.4
    """
    right, said = normal_tokens(reference), normal_tokens(response)
    if not right or not said:
        return float(right == said)
    common = (Counter(right) & Counter(said)).total()
    return 2 * common / (len(right) + len(said))


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    if not sample.reference:
        return {"token_f1": Unscored("no_reference")}
    return {"token_f1": max(token_f1(right, sample.response) for right in (sample.reference, *sample.aliases))}


SCORER = Scorer(metrics=(Metric("token_f1", "mean", KNOWLEDGE_SHOWN),), score=_score)
