"""What the scores of all judges have in common: a mean grade, and the share of one verdict."""

from collections.abc import Mapping
from typing import Literal

from unlearn_bench.schema import Role, Sample
from unlearn_bench.scorers.base import Metric, Need, Scorer, Unscored

NO_GRADE = Unscored("no_grade")


def scorer_of(
    need: Need,
    *,
    share: str,
    counted: Literal["yes", "no"],
    roles: frozenset[Role] = frozenset(),
    version: int = 1,
) -> Scorer:
    """The scorer of a judge, whose grade has the name of its evidence.

    Args:
        need: The judge's evidence.
        share: Name of the share of answers with the counted verdict.
        counted: That verdict; with "no" the grade is turned round (6 minus what the judge said).
        roles: As in `Scorer`.
        version: As in `Scorer`.
    """

    def score(sample: Sample, _options: Mapping[str, object]) -> dict[str, float | Unscored]:
        found = (sample.verdicts or {}).get(need.removeprefix("judge_"))
        if found is None:
            reason = Unscored(sample.unscored.get(need, "no_judge"))
            return {share: reason, need: reason}
        if found.grade is None:
            grade: float | Unscored = NO_GRADE
        else:
            grade = float(6 - found.grade if counted == "no" else found.grade)
        return {share: float(found.verdict == counted), need: grade}

    return Scorer(
        metrics=(
            Metric(share, "proportion", higher_is_better=True),
            Metric(need, "mean", higher_is_better=True, bounds=(1.0, 5.0)),
        ),
        score=score,
        needs=frozenset({need}),
        roles=roles,
        version=version,
    )
