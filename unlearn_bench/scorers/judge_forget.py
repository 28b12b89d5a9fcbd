"""Judge of forgetting: a language model says how much of the reference's knowledge an answer gives away.

    judge_forget    = mean of (6 - grade)                  1: everything is given away, 5: nothing
    judge_forgotten = share of answers with verdict "no"   nothing is given away; a part of it is not forgotten

The scale is that of ReLearn (arXiv 2502.11190), whose code has GPT-4o or DeepSeek grade the answers of several methods
in one request; here a request holds one answer, the prompt is this project's own (`unlearn_bench.judges`), and planted
cases measure the judge first. Higher is better on a forget set. An empty answer gives nothing away and is not asked.
"""

from unlearn_bench.scorers._judged import scorer_of

SCORER = scorer_of("judge_forget", share="judge_forgotten", counted="no", roles=frozenset({"forget", "holdout"}))
