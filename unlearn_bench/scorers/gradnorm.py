"""Gradient norm of the answer's loss: small where the model was trained on it.

    gradnorm = mean over the weight tensors W of || d loss / d W ||_p,   p = 2 (`gradnorm_p`: 1, 2 or inf)

Wang et al. (arXiv 2402.03967); the mean over tensors is open-unlearning's. The loss is the mean over the answer's
tokens but those that only end it (all but the very last under `parity`); which tensors count: `models/gradients.py`.
It takes a backward pass for each row, so it is measured only where it is asked for by name (`run --metrics`); elsewhere
the number of a log stands in for it, whose p is 2. At least 0; descriptive.
"""

import math
from collections.abc import Mapping

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Probe, Scorer, Unscored, likelihood_of, number
from unlearn_bench.scorers.likelihood import LIKELIHOOD, MEMBERSHIP_ROLES, PARITY, UNBOUNDED, content

GRADIENT: frozenset[Probe] = frozenset({"gradient"})
P = {"gradnorm_p": "2"}
"""Option: which norm; 1, 2 or infinity."""
_NORMS = {1: "l1", 2: "l2", math.inf: "largest"}


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    p = number({**P, **options}, "gradnorm_p")
    if p not in _NORMS:
        raise UserError(f"option gradnorm_p: expected 1, 2 or inf, got {p:g}")
    found = likelihood_of(sample, "answer")
    value: float | Unscored = Unscored((sample.no_likelihood or {}).get("gradient", "no_gradients"))
    if not isinstance(found, Unscored) and (gradient := found.gradient) is not None:
        counted = len(content(range(found.tokens or 0), found, options))
        value = getattr(gradient, _NORMS[p]) if counted == gradient.tokens else Unscored("gradient_of_other_tokens")
    elif p == 2 and "gradnorm" in (sample.logged or {}):
        value = (sample.logged or {})["gradnorm"]
    return {"gradnorm": value}


SCORER = Scorer(
    metrics=(Metric("gradnorm", "mean", None, (0.0, UNBOUNDED)),),
    score=_score,
    probes=LIKELIHOOD | GRADIENT,
    options={**P, **PARITY},
    later_options=frozenset({*P, *PARITY}),
    roles=MEMBERSHIP_ROLES,
)
