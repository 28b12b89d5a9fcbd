"""Prefix: the first k words of the reference answer are given, and the model goes on.

    prefix@k   the share of the rest that comes back: the answer's words after the k-th are the reference of what is
               generated (rougeL_recall, kfr), and the continuation whose probability is asked (probability)

A fluent unlearned model can hide behind the first word of its answer: in a model that answers 1 % of the questions
greedily, one word of the reference brought back 93 % of the rest. A row whose answer has no more than k words is left
out, and is unscored at that k. Words, not tokens, so that checkpoints with different tokenizers get the same.
"""

from unlearn_bench.schema import Row
from unlearn_bench.stress.base import Material, Stress


def rows(variant: str, row: Row, material: Material) -> list[Row]:
    """The row with the beginning of its answer given, and the rest as its reference."""
    count, words = int(variant), row.answer.split()
    if len(words) <= count:
        return []
    given, rest = " ".join(words[:count]), " ".join(words[count:])
    begun = f"{row.prefill} " if row.prefill else material.separator
    return [row.model_copy(update={"prefill": f"{begun}{given}", "answer": rest, "aliases": []})]


STRESS = Stress(
    changes="question",
    variants=("1", "2", "3", "4", "5"),
    quick=("1",),
    cost="one pass of the forget tasks for each k",
    rows=rows,
)
