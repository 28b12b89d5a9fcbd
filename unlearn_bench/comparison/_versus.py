"""Two results on one metric: with samples on both sides question by question, otherwise by their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.comparison.metric_info import MetricInfo, info
from unlearn_bench.evidence.pipeline import clusters_of, sample_value
from unlearn_bench.schema import MetricValue, Sample
from unlearn_bench.stats import paired

Pairs = Sequence[tuple[Sample, Sample]]
UNSCORED_SHARE = 0.02  # two questions of a hundred


@dataclass(frozen=True)
class Flip:
    """A question whose label changed; `better` in the sense of the metric."""

    id: str
    question: str
    reference: str | None
    old_response: str
    new_response: str
    old: float
    new: float
    better: bool


def pairs_by_task(old: LoadedResult, new: LoadedResult) -> dict[str, Pairs]:
    """Task to the questions that both were asked; empty where either has no samples."""
    if old.by_task is None or new.by_task is None:
        return {}
    return {task: align(samples, new.by_task[task]) for task, samples in old.by_task.items() if task in new.by_task}


def align(old: Sequence[Sample], new: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """The questions of a task that both were asked, in the old order: the same id, question and reference answer."""
    mine = {(s.id, s.question, s.reference): s for s in new}
    keys = [(s.id, s.question, s.reference) for s in old]
    return [(s, mine[key]) for s, key in zip(old, keys, strict=True) if key in mine]


def scored_share(value: MetricValue) -> float:
    """Share of the questions that could be scored; 1 where none was asked to be."""
    return value.n / (value.n + value.unscored) if value.n + value.unscored else 1.0


def became_unscored(old: MetricValue, new: MetricValue) -> bool:
    """Whether the scored share fell by more than `UNSCORED_SHARE`: what cannot be scored any more may be the worst."""
    return scored_share(old) - scored_share(new) > UNSCORED_SHARE


def worst_value(metric: str, *, better: bool) -> float | None:
    """The worst value that an answer can have; None where it is unbounded, or not a value of one answer."""
    known = info(metric)
    worst = known.bounds[0] if better else known.bounds[1]
    return worst if known.kind not in ("corpus", "summary") and math.isfinite(worst) else None


def versus(
    old: MetricValue, new: MetricValue, metric: str, pairs: Pairs | None, *, better: bool, fill: float | None = None
) -> paired.Comparison:
    """Compare one metric; both values must be defined.

    Args:
        old: The baseline's value.
        new: The candidate's value.
        metric: Its name.
        pairs: The questions that both were asked; None or empty where samples are missing.
        better: Higher is better.
        fill: What an answer that could not be scored counts as, on both sides; None: it does not count.
    """
    known = info(metric)
    if known.kind == "corpus" and known.combine is not None and pairs:
        return _corpus(pairs, known, better)
    values = [
        (a, _filled(sample_value(a, metric), fill), _filled(sample_value(b, metric), fill)) for a, b in pairs or ()
    ]
    scored = [(a, x, y) for a, x, y in values if None not in (x, y)]
    if known.kind == "corpus" or len(scored) < 2:
        return paired.unpaired(_with_unscored(old, fill), _with_unscored(new, fill), higher_is_better=better)
    samples = [a for a, _, _ in scored]
    return paired.paired(
        [x for _, x, _ in scored],
        [y for _, _, y in scored],
        clusters_of(samples),
        proportion=known.kind == "proportion",
        higher_is_better=better,
        ids=_ids(samples),
    )


def _filled(value: float | None, fill: float | None) -> float | None:
    return fill if value is None else value


def _with_unscored(value: MetricValue, fill: float | None) -> MetricValue:
    """The value and interval over all questions, those that could not be scored counting as `fill`."""
    if fill is None or not value.unscored:
        return value
    share = scored_share(value)
    ends = value.ci95 and tuple(fill + share * (end - fill) for end in value.ci95)
    moved = fill + share * (value.value - fill)
    return value.model_copy(update={"value": moved, "ci95": ends, "n": value.n + value.unscored})


def _ids(samples: Sequence[Sample]) -> list[str]:
    return [f"{s.id}\0{s.question}" for s in samples]


def _corpus(pairs: Pairs, known: MetricInfo, better: bool) -> paired.Comparison:
    def rows(samples: Sequence[Sample]) -> np.ndarray:
        return np.array([[s.scores.get(c, math.nan) for c in known.components] for s in samples])

    old = [a for a, _ in pairs]
    return paired.paired_corpus(
        rows(old),
        rows([b for _, b in pairs]),
        clusters_of(old),
        known.combine,
        higher_is_better=better,
        ids=_ids(old),
    )


def flips(pairs: Pairs, metric: str, *, higher_is_better: bool) -> list[Flip]:
    """The questions whose 0/1 label changed, losses first."""
    if info(metric).kind != "proportion":
        return []
    found = []
    for a, b in pairs:
        old, new = sample_value(a, metric), sample_value(b, metric)
        if old is not None and new is not None and old != new:
            better = (new > old) == higher_is_better
            found.append(Flip(a.id, a.question, a.reference, a.response, b.response, old, new, better))
    return sorted(found, key=lambda flip: flip.better)
