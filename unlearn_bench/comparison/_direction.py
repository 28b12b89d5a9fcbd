"""Which way is better: said by the metric for the role of its questions, by lm-eval, or by the gate; never guessed.

A result's own `higher_is_better` is not read: a submitter could reverse a gate with it.
"""

import math

from unlearn_bench.comparison.metric_info import known
from unlearn_bench.schema import Result

# Of stock lm-eval tasks, by the name of the metric: what lm-eval and its task files declare everywhere.
_SHARES = frozenset({
    "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "exact_match", "em", "f1", "mc1", "mc2", "contains",
    "quasi_exact_match", "prompt_level_strict_acc", "prompt_level_loose_acc", "inst_level_strict_acc",
    "inst_level_loose_acc",
})  # fmt: skip
_UP = _SHARES | {"mcc", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum"}
_DOWN = frozenset({
    "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ter", "wer", "cer", "brier_score", "loss",
    "nll",
})  # fmt: skip


def direction(baseline: Result, key: str) -> bool | None:
    """Whether higher is better for "task/metric"; None where no trusted source states it.

    Args:
        baseline: The result that the candidate is held against; the candidate's own word counts for nothing.
        key: "task/metric"; of a stock task as lm-eval names it, its filter behind a comma.
    """
    task, _, metric = key.partition("/")
    if task in baseline.tasks:
        found = known().get(metric)
        return None if found is None else found.direction(baseline.tasks[task].role)
    return _stock(baseline, task, metric)


def stock_bounds(metric: str) -> tuple[float, float]:
    """Smallest and largest value of a stock task's metric, as far as its name shows it."""
    name = metric.partition(",")[0]
    if name in _SHARES:
        return (0.0, 1.0)
    return (0.0, math.inf) if name in _DOWN else (-math.inf, math.inf)


def _stock(baseline: Result, task: str, metric: str) -> bool | None:
    name = metric.partition(",")[0]
    declared = baseline.other_better.get(task, {})
    said = {declared[n] for n in (metric, name) if n in declared}
    said |= {True} if name in _UP else {False} if name in _DOWN else set()
    return said.pop() if len(said) == 1 else None  # two that contradict each other are none
