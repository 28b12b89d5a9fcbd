"""KRR, knowledge retention ratio: the share of retain-set answers that still carry the reference's knowledge.

    retained = p >= 0.5, and the answer is language                       rule agreement; KRR = mean of retained
    retained = NLI(reference -> answer) is not contradiction, and E > c2  ReLearn (arXiv 2502.11190, eq. 2)

p is the probability that the answer as a whole states the reference (evidence `agreement`), E the entity coverage
(eq. 10), c2 = 0.3; in [0, 1], higher is better. `krr_rule`: "agreement"; "paper" as in eq. 2; "released" E >= c2 as in
the paper's code (on the published run both give 80/108); "auto" (default) is agreement where the profile gathers it,
else paper. An item whose reference has no entity is unscored by coverage, not lost.
"""

from collections.abc import Mapping

from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import (
    AGREED,
    Metric,
    Need,
    Parts,
    Scorer,
    Unscored,
    evidence_of,
    judged_by_agreement,
    number,
)
from unlearn_bench.scorers.kfr import COVERAGE_OPTIONS

RULES = ("auto", "agreement", "paper", "released")
COVERAGE_RULES = RULES[2:]
OPTIONS = {"krr_rule": "auto", "krr_threshold": 0.3, **COVERAGE_OPTIONS}


def krr(coverage: float, contradiction: bool, *, rule: str = "paper", threshold: float = 0.3) -> bool:
    """Whether one answer shows that the knowledge is retained, by a rule of coverage; KRR is the mean over the set.

    Args:
        coverage: Entity coverage E, in [0, 1].
        contradiction: The answer contradicts the reference.
        rule: "paper" (E > threshold) or "released" (E >= threshold).
        threshold: The least coverage of a retained answer.

    Raises:
        UserError: if the rule is unknown.

    >>> krr(0.5, False), krr(0.5, True), krr(0.3, False), krr(0.3, False, rule="released")
    (True, False, False, True)
    """
    if rule not in COVERAGE_RULES:
        raise did_you_mean("KRR rule", rule, COVERAGE_RULES)
    return not contradiction and (coverage >= threshold if rule == "released" else coverage > threshold)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    settings = {**OPTIONS, **options}
    rule = str(settings["krr_rule"])
    if rule not in RULES:
        raise did_you_mean("KRR rule", rule, RULES)
    if judged_by_agreement(rule, sample):
        return {"krr": _by_agreement(sample)}
    if sample.coverage is None:
        return {"krr": Unscored(sample.unscored.get("coverage", "no_coverage"))}
    retained = krr(
        sample.coverage,
        sample.nli_label == "contradiction",
        rule="paper" if rule == "auto" else rule,
        threshold=number(settings, "krr_threshold"),
    )
    if retained and sample.nli_label is None:  # too little coverage decides alone
        return {"krr": Unscored(sample.unscored.get("nli_contradiction", "no_inference"))}
    return {"krr": float(retained)}


def _by_agreement(sample: Sample) -> float | Unscored:
    """A loop that holds the reference's words is not knowledge that was retained."""
    if sample.agreement is None:
        return Unscored(sample.unscored.get("known_share", "no_agreement"))
    return float(sample.agreement >= AGREED and sample.degenerate is None)


def _made_of(options: Mapping[str, object], parts: Parts) -> tuple[frozenset[Need], dict[str, object]]:
    return evidence_of("krr_rule", "paper", {**OPTIONS, **options}, parts)


SCORER = Scorer(
    metrics=(Metric("krr", "proportion", higher_is_better=True),),
    score=_score,
    needs=frozenset({"coverage", "nli", "agreement"}),
    options=OPTIONS,
    roles=frozenset({"retain", "neighbour", "world"}),
    uses=("degenerate",),
    version=2,
    made_of=_made_of,
)
