"""What is computed of generations made elsewhere: for each task the scorers that mean something there."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import resolve
from unlearn_bench.harness.definitions import with_companions
from unlearn_bench.harness.spec import DEFAULT
from unlearn_bench.schema import NOT_ASKED, Response, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Unscored

METRICS = ("kfr", "krr", "ls", "rouge")
LIKELIHOOD_METRICS = (
    "probability", "probability_normalised", "truth_ratio", "extraction_strength", "exact_memorization", "loss",
    "loss_zlib", "min_k", "min_k_plus_plus", "gradnorm", "choice_accuracy", "choice_accuracy_norm",
    "choice_probability",
)  # fmt: skip
"""What is computed in addition where no metric is named and the files hold likelihoods."""


def plan_tasks(
    responses: Sequence[Response], metrics: Sequence[str], parts: Mapping[str, object] = MappingProxyType({})
) -> dict[str, list[str]]:
    """Task to the scorers of the metrics that mean something on its role and read what it holds; companions and judges.

    Args:
        responses: What is scored.
        metrics: Names of metrics or scorers.
        parts: What chooses the parts; among it the judges.

    Raises:
        UserError: if no metric means anything on any role.
    """
    asked = tuple(n for name in metrics for n in (METRICS if name == DEFAULT else (name,)))
    wanted = resolve(asked)
    by_task: dict[str, list[Response]] = {}
    for response in responses:
        by_task.setdefault(response.task, []).append(response)
    plan: dict[str, list[str]] = {}
    for task, answers in by_task.items():
        role, held = answers[0].role, _held(answers)
        known = {name: SCORERS.get(name) for name in wanted}
        fitting = [n for n, s in known.items() if (not s.roles or role in s.roles) and s.probes & held]
        if (DEFAULT in metrics or asked == METRICS) and held != {"answer"}:
            fitting += _measured(answers, held)
        if fitting:
            judges = profiles.judges_for(parts, role, asked) if "answer" in held else ()
            plan[task] = list(dict.fromkeys((*with_companions(fitting), *judges)))
    if not plan:
        roles = ", ".join(sorted({response.role for response in responses}))
        raise UserError(
            f"--metrics {','.join(metrics)}: nothing of it means anything on answers of role {roles}",
            hint="kfr is for what should be forgotten, krr for what should be kept; probability and its like need a "
            "log of likelihoods",
        )
    return plan


def _held(answers: Sequence[Response]) -> set[str]:
    """The probes of which a task's answers hold observations."""
    named = {name for a in answers for name in (*(a.likelihoods or ()), *(a.no_likelihood or ()))}
    choices = {name for name in named if name.startswith("choices.")}
    there = {
        "answer": any(a.missing != NOT_ASKED for a in answers),
        "likelihood": bool(named - choices) or any(a.logged for a in answers),
        "choice": bool(choices),
    }
    return {probe for probe, held in there.items() if held}


def _measured(answers: Sequence[Response], held: set[str]) -> list[str]:
    """The scorers of likelihoods that mean something on a task and find what they need in one answer at least."""
    samples = [Sample(**a.model_dump(exclude={"given"})) for a in answers]
    known = {name: SCORERS.get(name) for name in LIKELIHOOD_METRICS}
    return [
        name
        for name, scorer in known.items()
        if (not scorer.roles or answers[0].role in scorer.roles)
        and scorer.probes & held
        and any(not isinstance(value, Unscored) for sample in samples for value in scorer.score(sample, {}).values())
    ]
