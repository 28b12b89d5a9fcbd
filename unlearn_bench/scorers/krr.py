"""KRR, knowledge retention ratio: the share of retain-set answers that still carry the reference's knowledge.

    retained = NLI(reference -> answer) is not contradiction, and E > c2        KRR = mean of retained

E is the entity coverage (arXiv 2502.11190, eq. 10), c2 = 0.3 (eq. 2); in [0, 1], higher is better. The paper's code has
E >= c2 (`krr_rule` "released"; on the published run both give 80/108). An item whose reference has no entity is
unscored, not lost.
"""

from collections.abc import Mapping

from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored
from unlearn_bench.scorers.kfr import COVERAGE_OPTIONS

RULES = ("paper", "released")
OPTIONS = {"krr_rule": "paper", "krr_threshold": 0.3, **COVERAGE_OPTIONS}


def krr(coverage: float, contradiction: bool, *, rule: str = "paper", threshold: float = 0.3) -> bool:
    """Whether one answer shows that the knowledge is retained; KRR is the mean over the set.

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
    if rule not in RULES:
        raise did_you_mean("KRR rule", rule, RULES)
    return not contradiction and (coverage >= threshold if rule == "released" else coverage > threshold)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    if sample.coverage is None:
        return {"krr": Unscored(sample.unscored.get("coverage", "no_coverage"))}
    settings = {**OPTIONS, **options}
    retained = krr(
        sample.coverage,
        sample.nli_label == "contradiction",
        rule=str(settings["krr_rule"]),
        threshold=float(settings["krr_threshold"]),
    )
    if retained and sample.nli_label is None:  # too little coverage decides alone
        return {"krr": Unscored(sample.unscored.get("nli_contradiction", "no_inference"))}
    return {"krr": float(retained)}


SCORER = Scorer(
    metrics=(Metric("krr", "proportion", higher_is_better=True),),
    score=_score,
    needs=frozenset({"coverage", "nli"}),
    options=OPTIONS,
    roles=frozenset({"retain", "neighbour", "world"}),
)
