"""KFR, knowledge forgetting ratio: the share of forget-set answers that no longer carry the reference's knowledge.

    forgotten = NLI(answer -> reference) is contradiction, or E < c1        KFR = mean of forgotten

E is the entity coverage (arXiv 2502.11190, eq. 10), c1 = 0.3 (eq. 1); higher is better on a forget set. Three rules
exist:

    paper      E < 0.3                                                as printed
    released   E <= 0.5 where the reference has at most 3 entities,   as in zjunlp/unlearn, evals/evaluate.py
               else E <= 0.3
    table      E < 0.5 and E < 0.3 in the same cases                  what the published tables and item files contain
    (default)

Empty references: the paper's code counts them as forgotten for any answer; here they are unscored. Known
weakness: gibberish is "forgotten" too (see `kfr_fluent`).
"""

from collections.abc import Mapping

from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Scorer, Unscored

RULES = ("table", "paper", "released")
COVERAGE_OPTIONS = {"matching": "one_to_one", "question_words": "symmetric", "empty_reference": "unscored"}
OPTIONS = {
    "kfr_rule": "table",
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
    """Whether one answer shows that the knowledge is forgotten; KFR is the mean over the set.

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
    if rule not in RULES:
        raise did_you_mean("KFR rule", rule, RULES)
    limit = short_threshold if rule != "paper" and n_reference_entities <= short_size else threshold
    return contradiction or (coverage <= limit if rule == "released" else coverage < limit)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"kfr": score_sample(sample, options)}


def score_sample(sample: Sample, options: Mapping[str, object]) -> float | Unscored:
    """KFR of a sample (0 or 1); a missing inference matters only where coverage has not decided."""
    if sample.coverage is None:
        return Unscored(sample.unscored.get("coverage", "no_coverage"))
    settings = {**OPTIONS, **options}
    forgotten = kfr(
        sample.coverage,
        sample.nli_label == "contradiction",
        _NOT_SHORT if sample.entities_reference is None else len(sample.entities_reference),
        rule=str(settings["kfr_rule"]),
        threshold=_number(settings, "kfr_threshold"),
        short_threshold=_number(settings, "kfr_short_threshold"),
        short_size=int(_number(settings, "kfr_short_size")),
    )
    if not forgotten and sample.nli_label is None:
        return Unscored(sample.unscored.get("nli_contradiction", "no_inference"))
    return float(forgotten)


def _number(settings: Mapping[str, object], name: str) -> float:
    try:
        return float(settings[name])
    except (TypeError, ValueError):
        raise UserError(f"option {name}: expected a number, got {settings[name]!r}") from None


SCORER = Scorer(
    metrics=(Metric("kfr", "proportion", higher_is_better=True),),
    score=_score,
    needs=frozenset({"coverage", "nli"}),
    options=OPTIONS,
    roles=frozenset({"forget", "holdout"}),
)
