"""KFR and KRR by every rule, from the evidence that samples hold: no model is needed."""

from collections.abc import Mapping, Sequence

from unlearn_bench.schema import Sample
from unlearn_bench.scorers import kfr, kfr_fluent, krr
from unlearn_bench.scorers.base import Unscored

_RULES = {
    "kfr": ("kfr_rule", kfr.COVERAGE_RULES),
    "kfr_fluent": ("kfr_rule", kfr.COVERAGE_RULES),
    "krr": ("krr_rule", krr.COVERAGE_RULES),
}
_SCORERS = {"kfr": kfr, "kfr_fluent": kfr_fluent, "krr": krr}


def by_rule(samples: Mapping[str, Sequence[Sample]]) -> dict[str, float | None]:
    """Each task's KFR, fluent KFR and KRR by the rules of coverage ("nano_forget/kfr[table]").

    A metric that the task has is computed by each rule; None where no sample can be scored.
    """
    found: dict[str, float | None] = {}
    for task, own in samples.items():
        for name, (option, rules) in _RULES.items():
            if any(name in sample.scores for sample in own) and any(sample.coverage is not None for sample in own):
                found |= {f"{task}/{name}[{rule}]": _mean(own, name, {option: rule}) for rule in rules}
    return found


def _mean(samples: Sequence[Sample], name: str, options: Mapping[str, object]) -> float | None:
    scored = [_SCORERS[name].SCORER.score(sample, options)[name] for sample in samples if not sample.lost]
    values = [value for value in scored if not isinstance(value, Unscored)]
    return sum(values) / len(values) if values else None
