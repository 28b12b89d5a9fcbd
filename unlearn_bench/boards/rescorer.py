"""Scoring the responses of results again, with the scorers that a board (or a command line) names.

Evidence is found once for each text, over all results that one `Rescorer` sees: a board of many entries repeats most of
its references, and many of its answers.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unlearn_bench.evidence.records import scorers_of
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import Response, Sample, ScorerInfo, TaskResult
from unlearn_bench.summaries.aggregate import held_against_oracle, summaries_of

if TYPE_CHECKING:
    from unlearn_bench.scorers.base import Parts


class Rescorer:
    """Scores responses as a task was scored, with parts and options that its result does not choose.

    Args:
        scoring: Settings of `profiles` and options of scorers, as `score` takes them; empty for the defaults.

    Raises:
        UserError: for an unknown setting.
    """

    def __init__(self, scoring: Mapping[str, object]) -> None:
        from unlearn_bench.evidence import profiles

        own = {key: value for key, value in scoring.items() if key in profiles.SETTINGS}
        self.options: dict[str, object] = {key: value for key, value in scoring.items() if key not in own}
        self._parts = profiles.parts_from(own)
        self._remembering = _remembering(self._parts)

    def __call__(self, responses: Sequence[Response], scorers: Sequence[str]) -> list[Sample]:
        """The responses of a question set, scored."""
        from unlearn_bench.evidence.pipeline import score_responses

        return score_responses(responses, scorers, self._remembering, self.options)

    def scorer(self, task: TaskResult) -> ScorerInfo:
        """What a result says of its scorers that was scored so.

        Of summaries: those that an oracle's answers were needed for keep what the result says of them.
        """
        from unlearn_bench.evidence import profiles

        if scorers_of(task) or not summaries_of(task):
            return profiles.scorer_info(self._parts, scorers_of(task), self.options)
        own = profiles.summary_info(self._parts, self.options, None)
        kept = {name: task.scorer.metrics[name] for name in held_against_oracle(task) & task.scorer.metrics.keys()}
        metrics = own.metrics | kept
        changes = {"metrics": metrics, "parts": task.scorer.parts, "fingerprint": sha256_json(metrics)}
        return own.model_copy(update=changes)


@dataclass
class _Remembering:
    """A part that is asked once for each input."""

    part: Any
    key: Callable[[Any], Hashable]
    seen: dict[Hashable, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        new = {key: item for item in items if (key := self.key(item)) not in self.seen}
        if new:
            self.seen.update(zip(new, self.part(list(new.values())), strict=True))
        return [self.seen[self.key(item)] for item in items]


def _remembering(parts: "Parts") -> "Parts":
    from unlearn_bench.evidence.gather import GIVEN

    keys: dict[str, Callable[[Any], Hashable]] = {
        "entities": _itself,
        "similarity": _of_lists,
        "nli": _itself,
        "agreement": _itself,
        "reference_lm": _itself,
        "wording": _itself,
    }
    found = {name: getattr(parts, name) for name in keys}
    return replace(
        parts,
        **{
            name: _Remembering(part, keys[name])
            for name, part in found.items()
            if part is not None and part.name != GIVEN
        },
    )


def _itself(item: Any) -> Hashable:
    return item


def _of_lists(pair: tuple[list[str], list[str]]) -> Hashable:
    return tuple(map(tuple, pair))
