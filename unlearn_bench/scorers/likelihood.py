"""What the scorers of likelihoods share: a sample's continuations, the tokens that count, and the numbers of a log.

Names of continuations are those of `schema.Response`: "answer", "paraphrased_answer", "perturbed_answers.0", …
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Likelihood, Role, Sample
from unlearn_bench.scorers.base import Probe, Unscored, likelihood_of, number

PARITY = {"parity": "none"}
"""Option of the numbers of which open-unlearning's code gives another value: "none", or `OPEN_UNLEARNING`."""
OPEN_UNLEARNING = "open-unlearning"
PARITIES = ("none", OPEN_UNLEARNING)
PARITY_VERSION = 2
"""Raised with every change that moves a number under that option; part of the fingerprint only where it is set."""
EPSILON = 1e-10
"""What open-unlearning adds to probabilities so as not to divide by zero."""
MIN_K = {"min_k_share": 0.4}
"""Option of Min-K and Min-K++: the share of the tokens that counts."""
UNBOUNDED = math.inf
LIKELIHOOD: frozenset[Probe] = frozenset({"likelihood"})
"""The probe of these scorers (`Scorer.probes`)."""
MEMBERSHIP_ROLES: frozenset[Role] = frozenset({"forget", "holdout"})
"""Where membership scores are compared: rows that were trained on and forgotten, and rows that never were."""

_T = TypeVar("_T")


def is_parity(options: Mapping[str, object]) -> bool:
    """Whether a public implementation's quirks are asked for.

    Raises:
        UserError: for an unknown value of the option.
    """
    asked = str(options.get("parity", "none"))
    if asked not in PARITIES:
        raise did_you_mean("parity", asked, PARITIES)
    return asked != "none"


def perturbed(sample: Sample) -> list[Likelihood]:
    """The likelihoods of the wrong answers; those of some may be missing."""
    found = sample.likelihoods or {}
    return [found[name] for name in found if name.startswith("perturbed_answers.")]


def content(values: Sequence[_T], found: Likelihood, options: Mapping[str, object]) -> Sequence[_T]:
    """The values of the tokens that say something: all but those that only end the continuation.

    open-unlearning leaves out the very last token alone (`parity`), so that what else a template writes behind an
    answer counts there.

    >>> ended_by_two = Likelihood(mean_logprob=-1, tokens=4, ending=2)
    >>> content([1, 2, 3, 4], ended_by_two, {}), content([1, 2, 3, 4], ended_by_two, {"parity": OPEN_UNLEARNING})
    ([1, 2], [1, 2, 3])
    """
    return values[: len(values) - left_out(found.ending, options)]


def left_out(ending: int, options: Mapping[str, object]) -> int:
    """Of the tokens that only end a continuation those that do not count."""
    return min(ending, 1) if is_parity(options) else ending


def min_k(values: Sequence[float], found: Likelihood, options: Mapping[str, object]) -> float:
    """Mean of the lowest values of an answer's tokens, negated: the share `min_k_share` of them, at least one.

    Args:
        values: One number for each token of the continuation, in order.
        found: The continuation; tokens that only end it do not count, and at least one is left.
        options: May hold `min_k_share` and `parity`.

    >>> min_k([-1.0, -3.0, -2.0], Likelihood(mean_logprob=-2, tokens=3), {"min_k_share": 0.7})
    2.5

    Raises:
        UserError: if the share is no number in (0, 1].
    """
    share = number({**MIN_K, **options}, "min_k_share")
    if not 0 < share <= 1:
        raise UserError(f"option min_k_share: expected a share in (0, 1], got {share:g}")
    counted = sorted(content(values, found, options))
    chosen = counted[: max(1, int(len(counted) * share))]
    return -math.fsum(chosen) / len(chosen)


def tokens_or_logged(
    sample: Sample, metric: str, options: Mapping[str, object], compute: Callable[[Likelihood], float | Unscored]
) -> dict[str, float | Unscored]:
    """A number that needs the answer's tokens; where only a log's own number is there, that one.

    Args:
        sample: The sample.
        metric: Name of the number.
        options: May hold `parity`.
        compute: Its value from a likelihood whose `logprobs` and `hits` are there.
    """
    found = likelihood_of(sample, "answer")
    if not isinstance(found, Unscored) and found.logprobs is not None and found.hits is not None:
        value: float | Unscored | None = (
            compute(found) if content(found.logprobs, found, options) else Unscored("answer_has_no_tokens")
        )
    else:
        value = (sample.logged or {}).get(metric)
    if value is None:
        value = found if isinstance(found, Unscored) else Unscored("no_token_logprobs")
    return {metric: value}
