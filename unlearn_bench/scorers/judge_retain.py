"""Judge of retention: a language model says whether an answer correctly says what the reference answer says.

    judge_retain   = mean grade                            1: nothing of it, 5: the same content
    judge_retained = share of answers with verdict "yes"   all that matters; a part of it is not retained

The scale is that of ReLearn (arXiv 2502.11190); see judge_forget.py for what is different. Higher is better.
"""

from unlearn_bench.scorers._judged import scorer_of

SCORER = scorer_of(
    "judge_retain", share="judge_retained", counted="yes", roles=frozenset({"retain", "neighbour", "world"})
)
