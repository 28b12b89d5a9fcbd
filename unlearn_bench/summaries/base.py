"""What a summary is: a pure function from the scored answers of several roles, and an oracle's, to numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from unlearn_bench.schema import Role, Sample
from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.stats.intervals import Interval

NO_ORACLE = Unscored("no_oracle")


class Estimate(NamedTuple):
    """A number, its interval (None where it has none), and the answers behind it."""

    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class Rows:
    """What a summary is computed from.

    Attributes:
        samples: Role to its scored answers.
        oracle: The oracle's answers to the same rows, by role; None where no oracle is given.
        options: Options of the scorers and summaries.
    """

    samples: Mapping[Role, Sequence[Sample]]
    oracle: Mapping[Role, Sequence[Sample]] | None = None
    options: Mapping[str, object] = field(default_factory=dict)


class Scores(NamedTuple):
    """The values of a metric on some answers, their clusters (None: answers are the units), and the answers' ids."""

    values: list[float]
    clusters: list[str] | None
    ids: list[str]


@dataclass(frozen=True)
class Summary:
    """A member of `unlearn_bench.summaries`.

    Attributes:
        compute: The answers to an estimate, or why there is none, for each metric.
        belongs: Whether the rows are those of its benchmark; in other runs it is left out.
        uses: Scorers whose per-answer numbers it takes; their versions are part of the metrics' fingerprints.
        oracle: Whether the numbers depend on an oracle.
        options: Names of the options it reads, with their defaults.
        version: Raised with every change that moves a number.
    """

    metrics: tuple[Metric, ...]
    compute: Callable[[Rows], dict[str, Estimate | Unscored]]
    uses: tuple[str, ...]
    belongs: Callable[[Rows], bool] = lambda rows: True
    oracle: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    version: int = 1


def scores(samples: Sequence[Sample], value: Callable[[Sample], float | None]) -> Scores:
    """The answers that have a value, with it."""
    found = [(number, sample) for sample in samples if (number := value(sample)) is not None]
    clusters = [sample.cluster for _, sample in found]
    known = [cluster for cluster in clusters if cluster is not None]
    usable = len(known) == len(clusters) and len(set(known)) > 1
    return Scores([number for number, _ in found], known if usable else None, [sample.id for _, sample in found])


def scores_of(samples: Sequence[Sample], metric: str) -> Scores:
    """The answers that are scored by a metric, with its value."""
    return scores(samples, lambda sample: sample.scores.get(metric))


def asks(metric: str) -> Callable[[Rows], bool]:
    """Whether a metric was asked of some row, scored or not (`Summary.belongs`)."""
    return lambda rows: any(metric in {**s.scores, **s.unscored} for role in rows.samples.values() for s in role)


def both(ours: Scores, theirs: Scores) -> tuple[Scores, Scores]:
    """The rows that both have, in the same order."""
    place = {row: i for i, row in enumerate(theirs.ids)}
    mine = [i for i, row in enumerate(ours.ids) if row in place]
    other = [place[ours.ids[i]] for i in mine]
    return _chosen(ours, mine), _chosen(theirs, other)


def _chosen(found: Scores, places: Sequence[int]) -> Scores:
    clusters = None if found.clusters is None else [found.clusters[i] for i in places]
    return Scores([found.values[i] for i in places], clusters, [found.ids[i] for i in places])
