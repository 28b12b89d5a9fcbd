"""Exact match: the answer is a right answer, but for case, punctuation and articles.

    exact_match = 1 if normal(answer) is normal(r) for any right answer r, else 0

SQuAD (arXiv 1606.05250); RWKU reports it on TriviaQA, and on BBH after a chain of thought: where the answer says
"the answer is …", what follows up to the next full stop is the answer. A text that is nothing but punctuation and
articles ("(A)") keeps its letters. RWKU's own code compares with each *character* of BBH's reference, articles removed:
there ",,," is right wherever the reference is "(A)", and a collapsed model gains; no parity with it is offered.
"""

import re
import string
from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored
from unlearn_bench.scorers.token_f1 import normal_tokens

_CONCLUSION = re.compile(r"\bthe answer is (.*?)\.", re.IGNORECASE)


def normal(text: str) -> str:
    """The text that is compared.

    >>> normal("The harbour!"), normal("(A)"), normal(" True. ")
    ('harbour', 'a', 'true')
    """
    kept = " ".join(normal_tokens(text))
    return kept or "".join(c for c in text.lower() if c not in string.punctuation).strip() or text.strip()


def concluded(text: str) -> str:
    """What an answer comes to: what follows "the answer is", else all of it.

    >>> concluded("Let's think. True and False is False. So the answer is False.")
    'False'
    """
    found = _CONCLUSION.search(text)
    return found[1].strip() if found else text.strip()


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    if not sample.reference:
        return {"exact_match": Unscored("no_reference")}
    said = normal(concluded(sample.response))
    return {"exact_match": float(any(said == normal(right) for right in (sample.reference, *sample.aliases)))}


SCORER = Scorer(metrics=(Metric("exact_match", "proportion", KNOWLEDGE_SHOWN),), score=_score, uses=("token_f1",))
