"""ROUGE-1 and ROUGE-L recall: how much of the reference's wording is in the answer.

    rouge1_recall = sum over words w of min(count of w in reference, in response) / words of the reference
    rougeL_recall = length of the longest common subsequence of words / words of the reference

Lin 2004; reported by TOFU (arXiv 2401.06121) and ReLearn (arXiv 2502.11190). In [0, 1]; on a forget set lower is
better, on a retain set higher. Words and stems are those of the `rouge_score` package
with `use_stemmer=True`, and so are the values. Its table for the longest common subsequence takes time |reference| x
|response| in Python; here one row is one big integer (Crochemore et al. 2001, Hyyro 2004: bit-parallel LCS), exact, and
a 100,000-character answer takes well under a second. MUSE switches the stemmer off (`rouge_stemmer`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored
from unlearn_bench.scorers.foreign import LANGUAGE, row_is_foreign
from unlearn_bench.text.light_nltk import light_nltk

OPTIONS = {"rouge_stemmer": True}


def rouge1_recall(reference: str, response: str, *, stemmer: bool = True) -> float | Unscored:
    """Share of the reference's words (with multiplicity) that the response has.

    >>> rouge1_recall("the cat sat", "sitting cats sat there")  # cat, sat
    0.6666666666666666
    """
    target, words = stems(reference, stemmer), stems(response, stemmer)
    if not target:
        return Unscored("reference_has_no_words")
    return (Counter(target) & Counter(words)).total() / len(target)


def rougeL_recall(reference: str, response: str, *, stemmer: bool = True) -> float | Unscored:
    """Longest common subsequence of words over the words of the reference.

    >>> rougeL_recall("the cat sat down", "down sat the cat")  # the cat
    0.5
    """
    target, words = stems(reference, stemmer), stems(response, stemmer)
    if not target:
        return Unscored("reference_has_no_words")
    return lcs_length(target, words) / len(target)


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel: |b| steps on integers of |a| bits.

    >>> lcs_length("ABCBDAB", "BDCABA")
    4
    """
    positions: dict[str, int] = {}
    for i, word in enumerate(a):
        positions[word] = positions.get(word, 0) | 1 << i
    mask = (1 << len(a)) - 1
    row = mask  # a zero bit marks a place where the common subsequence grew
    for word in b:
        hits = row & positions.get(word, 0)
        if hits:
            row = ((row + hits) | (row - hits)) & mask
    return len(a) - row.bit_count()


@lru_cache(maxsize=2048)  # both numbers, and every task that shares the answer, ask for the same stems
def stems(text: str, stemmer: bool) -> tuple[str, ...]:
    """Words of a text as `rouge_score` has them, stemmed or not."""
    from rouge_score import tokenize

    return tuple(tokenize.tokenize(text, _stemmer() if stemmer else None))


@cache
def _stemmer() -> object:
    with light_nltk():
        from nltk.stem import porter

    class Remembering(porter.PorterStemmer):  # type: ignore[misc]  # nltk has no types
        """The Porter stemmer of `rouge_score`; a word's stem is looked up once."""

        stem = lru_cache(maxsize=65536)(porter.PorterStemmer.stem)

    return Remembering()


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    if not sample.reference:
        return {metric.name: Unscored("no_reference") for metric in SCORER.metrics}
    if row_is_foreign(sample):  # the tokenizer keeps a to z and digits only, the stemmer is English
        return {metric.name: LANGUAGE for metric in SCORER.metrics}
    stemmer = bool({**OPTIONS, **options}["rouge_stemmer"])
    return {
        "rouge1_recall": rouge1_recall(sample.reference, sample.response, stemmer=stemmer),
        "rougeL_recall": rougeL_recall(sample.reference, sample.response, stemmer=stemmer),
    }


SCORER = Scorer(
    metrics=tuple(Metric(name, "mean", KNOWLEDGE_SHOWN) for name in ("rouge1_recall", "rougeL_recall")),
    score=_score,
    options=OPTIONS,
    version=2,
)
