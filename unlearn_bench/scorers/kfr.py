"""KFR, knowledge forgetting ratio: the share of forget-set answers that no longer carry the reference's knowledge.

    forgotten = p < 0.5                                               rule agreement; KFR = mean of forgotten
    forgotten = NLI(answer -> reference) is contradiction, or E < c1  the rules of ReLearn (arXiv 2502.11190, eq. 1)

p is the probability that the answer as a whole states the reference (evidence `agreement`), E the entity coverage
(eq. 10), c1 = 0.3; in [0, 1]. The aim is the value of a model that never saw the forget set, which is not always 1
(TOFU forget10: 0.82 to 0.84); beyond it a model is over-forgotten. The rules:

    auto       agreement where the profile gathers it, else table     (default)
    agreement  p < 0.5
    table      E < 0.5 where the reference has at most 3 entities,    what the published tables and item files contain
               else E < 0.3
    paper      E < 0.3                                                as printed
    released   as table, with <=                                      as in zjunlp/unlearn, evals/evaluate.py

Empty references: the paper's code counts them as forgotten for any answer; here they are unscored. Known
weakness: gibberish is "forgotten" too (see `kfr_fluent`).
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

RULES = ("auto", "agreement", "table", "paper", "released")
COVERAGE_RULES = RULES[2:]
COVERAGE_OPTIONS = {"matching": "one_to_one", "question_words": "symmetric", "empty_reference": "unscored"}
OPTIONS = {
    "kfr_rule": "auto",
    "kfr_threshold": 0.3,
    "kfr_short_threshold": 0.5,
    "kfr_short_size": 3,
    **COVERAGE_OPTIONS,
}
_NOT_SHORT = 10**9  # coverage came without entities: the long list's threshold, which is the paper's


def kfr(
    coverage: float,
    contradiction: bool,
    n_reference_entities: int,
    *,
    rule: str = "table",
    threshold: float = 0.3,
    short_threshold: float = 0.5,
    short_size: int = 3,
) -> bool:
    """Whether one answer shows that the knowledge is forgotten, by a rule of coverage; KFR is the mean over the set.

    Args:
        coverage: Entity coverage E, in [0, 1].
        contradiction: The answer contradicts the reference.
        n_reference_entities: Entities of the reference; at most `short_size` of them are a short list.
        rule: "table", "paper" or "released".
        threshold: Coverage below which an answer is forgotten.
        short_threshold: The same for short lists (not under "paper").
        short_size: Longest short list.

    Raises:
        UserError: if the rule is unknown.

    >>> kfr(0.4, False, 2), kfr(0.4, False, 2, rule="paper"), kfr(0.5, False, 2, rule="released"), kfr(1.0, True, 2)
    (True, False, True, True)
    """
    if rule not in COVERAGE_RULES:
        raise did_you_mean("KFR rule", rule, COVERAGE_RULES)
    limit = short_threshold if rule != "paper" and n_reference_entities <= short_size else threshold
    return contradiction or (coverage <= limit if rule == "released" else coverage < limit)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"kfr": score_sample(sample, options)}


def score_sample(sample: Sample, options: Mapping[str, object]) -> float | Unscored:
    """KFR of a sample (0 or 1); under the rules of coverage a missing inference matters only if coverage is enough."""
    settings = {**OPTIONS, **options}
    rule = str(settings["kfr_rule"])
    if rule not in RULES:
        raise did_you_mean("KFR rule", rule, RULES)
    if judged_by_agreement(rule, sample):
        if sample.agreement is None:
            return Unscored(sample.unscored.get("known_share", "no_agreement"))
        return float(sample.agreement < AGREED)
    if sample.coverage is None:
        return Unscored(sample.unscored.get("coverage", "no_coverage"))
    forgotten = kfr(
        sample.coverage,
        sample.nli_label == "contradiction",
        _NOT_SHORT if sample.entities_reference is None else len(sample.entities_reference),
        rule="table" if rule == "auto" else rule,
        threshold=number(settings, "kfr_threshold"),
        short_threshold=number(settings, "kfr_short_threshold"),
        short_size=int(number(settings, "kfr_short_size")),
    )
    if not forgotten and sample.nli_label is None:
        return Unscored(sample.unscored.get("nli_contradiction", "no_inference"))
    return float(forgotten)


def made_of(options: Mapping[str, object], parts: Parts) -> tuple[frozenset[Need], dict[str, object]]:
    """The evidence that KFR is made of under some options, and its rule where that is "auto"; see `Scorer.made_of`."""
    return evidence_of("kfr_rule", "table", {**OPTIONS, **options}, parts)


SCORER = Scorer(
    metrics=(Metric("kfr", "proportion", higher_is_better=True),),
    score=_score,
    needs=frozenset({"coverage", "nli", "agreement"}),
    options=OPTIONS,
    roles=frozenset({"forget", "holdout"}),
    version=2,
    made_of=made_of,
)
