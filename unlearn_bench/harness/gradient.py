"""The gradient probe: how much a reference answer would still move the weights, a backward pass for each.

Asked, kept and resumed like likelihoods, beside which the norms stand (`Likelihood.gradient`). A text has none, and its
row says why, where it has no likelihood, where the norm is not finite, and where the weights have no gradients.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_bench.harness.likelihood import ANSWER, Asked, rounded, why_not
from unlearn_bench.hashing import canonical_json
from unlearn_bench.models.likelihood import TokenSequence
from unlearn_bench.schema import Gradient, Response
from unlearn_bench.scorers.likelihood import left_out

if TYPE_CHECKING:
    from unlearn_bench.models.gradients import GradientNorms, Norms

NOT_GIVEN = "backend_gives_no_gradients"
NOT_FINITE = "gradient_is_not_finite"
PROBE = "gradient"


@dataclass(frozen=True)
class AskedGradient:
    """A text whose gradient is asked.

    Attributes:
        of: The text and its prompt.
        parity: How tokens that only end it are counted; option of the scorers.
    """

    of: Asked
    parity: str

    @property
    def args(self) -> tuple[str, dict[str, object]]:
        """Prompt and settings: what the store of observations knows it by."""
        prompt, settings = self.of.args
        return prompt, {**settings, "gradient": self.parity}


def asked_of(asked: Mapping[str, Asked], options: Mapping[str, object]) -> AskedGradient:
    """What is asked for a row, of what is asked of its likelihoods."""
    return AskedGradient(asked[ANSWER], str(options.get("parity", "none")))


def ask(
    asked: Sequence[AskedGradient], context: int, norms: "GradientNorms", on_finish: Callable[[int], None]
) -> list[Gradient | str]:
    """The gradient of each text after its prompt, or why it has none.

    Args:
        asked: Texts; different ones may have the same tokens, which are read once.
        context: Most tokens of prompt and text together.
        norms: What reads them.
        on_finish: Called with the number of texts just read.
    """
    joined = [one.of.joined for one in asked]
    reason = norms.why_none()
    reasons = [why_not(own, context) or reason for own in joined]
    sequences = []
    for one, own in zip(asked, joined, strict=True):
        counted = len(own.ids) - left_out(own.ending, {"parity": one.parity})
        sequences.append(TokenSequence(tuple(own.ids[:counted]), own.start))
    different = list(dict.fromkeys(s for s, why in zip(sequences, reasons, strict=True) if why is None))
    found: dict[TokenSequence, Gradient | str] = {}
    for sequence, values in zip(different, norms(different), strict=True):
        found[sequence] = _gradient(len(sequence.ids) - sequence.start, values)
        on_finish(1)
    on_finish(len(asked) - len(different))
    return [why or found[sequence] for why, sequence in zip(reasons, sequences, strict=True)]


def _gradient(tokens: int, norms: "Norms") -> Gradient | str:
    if not all(map(math.isfinite, norms)):
        return NOT_FINITE
    return Gradient(tokens=tokens, **{name: rounded(value) for name, value in norms._asdict().items()})


def add(response: Response, found: Gradient | str) -> Response:
    """A response with the gradient of its reference answer, or the reason why it has none."""
    known = response.likelihoods or {}
    if isinstance(found, Gradient) and ANSWER in known:
        known = {**known, ANSWER: known[ANSWER].model_copy(update={"gradient": found})}
        return response.model_copy(update={"likelihoods": known})
    absent = response.no_likelihood or {}
    reason = found if isinstance(found, str) else absent[ANSWER]
    return response.model_copy(update={"no_likelihood": {**absent, PROBE: reason}})


def written(found: Gradient | str) -> str:
    """One line of the store: a gradient, or the reason why there is none."""
    return canonical_json(found if isinstance(found, str) else found.model_dump())


def read(line: str) -> Gradient | str:
    """The inverse of `written`."""
    value = json.loads(line)
    return value if isinstance(value, str) else Gradient.model_validate(value)
