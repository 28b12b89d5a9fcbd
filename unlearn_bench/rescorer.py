"""Score kept samples again: the scoring profile of this version over raw responses, for `rescore` and `verify`."""

from collections.abc import Mapping, Sequence

from unlearn_bench import answer, profiles
from unlearn_bench.schema import MetricValue, Response, Sample, ScorerInfo, TaskResult
from unlearn_bench.scorers._pipeline import DESCRIPTIVE, aggregate, resolve, score_responses

# What a sample keeps of its response; the answer in it is found again.
_KEPT = {"id", "task", "split", "question", "reference", "cluster", "missing"}


class ProfileRescorer:
    """A scoring profile and options, as `leaderboard.rescore` asks for them.

    Args:
        settings: Fields of `profiles.Settings` and scorers' options by name.
    """

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._parts = profiles.parts_from({k: v for k, v in settings.items() if k in profiles.SETTINGS})
        self._options = {k: v for k, v in settings.items() if k not in profiles.SETTINGS}

    def info(self, task: TaskResult) -> ScorerInfo:
        """Who would score the task."""
        return profiles.scorer_info(self._parts, _makers(task), self._options)

    def score(
        self, task: TaskResult, samples: Sequence[Sample], *, first_answer: bool
    ) -> tuple[list[Sample], dict[str, MetricValue]]:
        """The samples scored again from their raw responses, and the task's metrics."""
        responses = [_response(sample, first_answer) for sample in samples]
        again = score_responses(responses, _makers(task), self._parts, self._options)
        return again, aggregate(again, _makers(task), self._options)


def _makers(task: TaskResult) -> list[str]:
    """The scorers that make a task's metrics."""
    descriptive = {metric.name for metric in DESCRIPTIVE}
    return resolve(name for name in task.metrics if name not in descriptive)


def _response(sample: Sample, first_answer: bool) -> Response:
    whole = sample.response if sample.raw_response is None else sample.raw_response
    response = Response(**sample.model_dump(include=_KEPT), response=whole)
    return answer.apply(response) if first_answer else response
