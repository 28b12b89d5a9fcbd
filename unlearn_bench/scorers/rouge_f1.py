"""ROUGE-L F1, with and without the stemmer: how MUSE scores verbatim memory and knowledge.

    rougeL_f1 = 2 * P * R / (P + R),   P = LCS / words of the answer,   R = LCS / words of the reference

Lin 2004. MUSE (arXiv 2407.06460) publishes 100 times the F1 *without* stemmer (`rougeL_f1_unstemmed`), open-unlearning
the F1 *with* it (`rougeL_f1`): two tables that must not be mixed. In [0, 1]; on a forget set lower is better. Words and
stems are those of the `rouge_score` package, and so are the values.
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored
from unlearn_bench.scorers.foreign import LANGUAGE, row_is_foreign
from unlearn_bench.scorers.rouge import lcs_length, stems

_STEMMER = {"rougeL_f1": True, "rougeL_f1_unstemmed": False}


def rougeL_f1(reference: str, response: str, *, stemmer: bool = True) -> float | Unscored:
    """F1 of the longest common subsequence of words.

    >>> rougeL_f1("the cat sat down", "the cats sat"), rougeL_f1("the cat sat down", "the cats sat", stemmer=False)
    (0.8571428571428571, 0.5714285714285714)
    """
    target, words = stems(reference, stemmer), stems(response, stemmer)
    if not target:
        return Unscored("reference_has_no_words")
    return 2 * lcs_length(target, words) / (len(target) + len(words))


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    del options
    if not sample.reference:
        return {name: Unscored("no_reference") for name in _STEMMER}
    if row_is_foreign(sample):
        return {name: LANGUAGE for name in _STEMMER}
    return {name: rougeL_f1(sample.reference, sample.response, stemmer=on) for name, on in _STEMMER.items()}


SCORER = Scorer(
    metrics=tuple(Metric(name, "mean", KNOWLEDGE_SHOWN) for name in _STEMMER), score=_score, uses=("rouge",)
)
