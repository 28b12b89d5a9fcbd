"""Fluency of an answer (first version)."""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers._base import Metric, Scorer, Unscored
from unlearn_bench.scorers._degenerate import degenerate


def fluency(question: str, response: str) -> float:  # noqa: ARG001
    """Fluency of an answer in [0, 1].

    >>> fluency("Where was Ann Lee born?", "at at at at")
    0.0
    """
    return float(degenerate(response) is None)


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:  # noqa: ARG001
    return {"fluency": fluency(sample.question, sample.response)}


SCORER = Scorer(metrics=(Metric("fluency", "mean", higher_is_better=True),), score=_score)
