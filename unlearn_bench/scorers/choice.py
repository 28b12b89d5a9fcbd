"""What the scorers of multiple-choice questions share: the log-probability of each option, and which one is right."""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers.base import KNOWLEDGE_SHOWN, Metric, Scorer, Unscored, likelihood_of


class Options(NamedTuple):
    """The options of a question.

    Attributes:
        logprobs: ln p(option | prompt) of each, summed over its tokens.
        gold: Index of the right one.
        texts: The options as they stand after the prompt.
    """

    logprobs: list[float]
    gold: int
    texts: list[str]

    def others(self, values: list[float]) -> list[float]:
        """The values of the wrong options."""
        return [value for k, value in enumerate(values) if k != self.gold]


def options_of(sample: Sample) -> Options | Unscored:
    """The options of a sample, or why they cannot be compared: all of them, or none, have a log-probability."""
    if sample.gold is None or len(sample.choices) < 2:
        return Unscored("no_choices")
    found = []
    for k in range(len(sample.choices)):
        likelihood = likelihood_of(sample, f"choices.{k}")
        total = likelihood if isinstance(likelihood, Unscored) else summed(likelihood)
        if isinstance(total, Unscored):
            return total
        found.append(total)
    return Options(found, sample.gold, sample.choices)


def summed(found: Likelihood) -> float | Unscored:
    """Log-probability of a continuation without what only ends it.

    >>> summed(Likelihood(mean_logprob=-2.0, tokens=3))
    -6.0
    """
    if found.logprobs is not None:
        return math.fsum(found.logprobs[: len(found.logprobs) - found.ending])
    if found.tokens is None or found.ending:
        return Unscored("no_token_logprobs")
    return found.mean_logprob * found.tokens


def choice_scorer(name: str, kind: Literal["proportion", "mean"], value: Callable[[Options], float]) -> Scorer:
    """A scorer of one number of a question's options.

    Args:
        name: Of the number.
        kind: As in `Metric`.
        value: The number, from the options.
    """

    def score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
        del options
        found = options_of(sample)
        return {name: found if isinstance(found, Unscored) else value(found)}

    return Scorer(metrics=(Metric(name, kind, KNOWLEDGE_SHOWN),), score=score, probes=frozenset({"choice"}))
