"""Judge of fluency: a language model says whether an answer is well-formed language, true or not.

    judge_fluency = mean grade                            1: no meaning at all, 5: without fault
    judge_fluent  = share of answers with verdict "yes"   a careful writer could have written it

The scale is that of ReLearn (arXiv 2502.11190), Fluency by GPT-4o; see judge_forget.py for what is different. The judge
is not shown the reference answer. Higher is better.
"""

from unlearn_bench.scorers._judged import scorer_of

SCORER = scorer_of("judge_fluency", share="judge_fluent", counted="yes")
