"""Perplexity of the answers under a reference language model that was never unlearned.

    PPL = exp(mean over response tokens of -ln p(token | question, tokens before))
    of a set: the arithmetic mean over its answers

ReLearn (arXiv 2502.11190), section 4.1: the reference is the base chat model before fine-tuning. At least 1, lower is
better. The mean has no cap: one answer of 1e7 sets the number, as in the paper's tables.

Where the perplexity model cannot read the task's own reference answers (`judge_cannot_read`, see
evidence/gather.py), the number is withheld: the embedded nano-base knows only its corpus.

An empty answer has no perplexity. The paper's code drops it from the mean, so that a model that falls silent looks
better. Here it counts as max(`floor`, the largest perplexity of its task): as bad as the worst answer
(`empty_perplexity`: "worst", the default; "drop" for parity with the paper's code; or a number). The pipeline fills it
in, so that the record of each sample carries the value that was averaged.
"""

from collections.abc import Iterable, Mapping

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored

OPTIONS = {"empty_perplexity": "worst"}


def empty_perplexity(others: Iterable[float], *, policy: str | float = "worst", floor: float = 1000.0) -> float | None:
    """What an empty answer counts as, given the perplexities of the task's other answers; None: it is dropped.

    Raises:
        UserError: if the policy is unknown.

    >>> empty_perplexity([4.0, 25.0]), empty_perplexity([4.0, 1e7]), empty_perplexity([4.0], policy="drop")
    (1000.0, 10000000.0, None)
    """
    if policy == "worst":
        return max([floor, *others])
    if policy == "drop":
        return None
    try:
        return max(1.0, float(policy))
    except (TypeError, ValueError):
        raise UserError(f"option empty_perplexity: expected worst, drop or a number, got {policy!r}") from None


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    if sample.perplexity is None:
        return {"perplexity": Unscored(sample.unscored.get("perplexity", "no_perplexity"))}
    return {"perplexity": sample.perplexity}


SCORER = Scorer(
    metrics=(Metric("perplexity", "mean", higher_is_better=False, bounds=(1.0, float("inf"))),),
    score=_score,
    needs=frozenset({"perplexity"}),
    options=OPTIONS,
)
