"""Two results on one metric: with samples on both sides question by question, otherwise by their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_bench.leaderboard import _paired
from unlearn_bench.leaderboard._metric_info import info, sample_value
from unlearn_bench.leaderboard._subject import Subject
from unlearn_bench.schema import MetricValue, Sample

Pairs = Sequence[tuple[Sample, Sample]]


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


def pairs_by_task(old: Subject, new: Subject) -> dict[str, Pairs]:
    """Task to the questions that both were asked; empty where either has no samples."""
    if old.samples is None or new.samples is None:
        return {}
    found: dict[str, list[tuple[Sample, Sample]]] = {}
    for a, b in _paired.align(old.samples, new.samples):
        found.setdefault(a.task, []).append((a, b))
    return found


def versus(old: MetricValue, new: MetricValue, metric: str, pairs: Pairs | None) -> _paired.Comparison:
    """Compare one metric; both values must be defined."""
    known = info(metric)
    better = old.higher_is_better is not False
    scored = [(a, b) for a, b in pairs or () if None not in (sample_value(a, metric), sample_value(b, metric))]
    if known.kind == "corpus" and known.combine is not None and pairs:
        return _corpus(pairs, known, better)
    if known.kind == "corpus" or len(scored) < 2:
        return _paired.unpaired(old, new, higher_is_better=better)
    return _paired.paired(
        [sample_value(a, metric) for a, _ in scored],
        [sample_value(b, metric) for _, b in scored],
        clusters([a for a, _ in scored]),
        proportion=known.kind == "proportion",
        higher_is_better=better,
    )


def _corpus(pairs: Pairs, known: object, better: bool) -> _paired.Comparison:
    def rows(samples: Sequence[Sample]) -> np.ndarray:
        return np.array([[s.scores.get(c, math.nan) for c in known.components] for s in samples])

    old, new = rows([a for a, _ in pairs]), rows([b for _, b in pairs])
    return _paired.paired_corpus(old, new, clusters([a for a, _ in pairs]), known.combine, higher_is_better=better)


def clusters(samples: Sequence[Sample]) -> list[str] | None:
    """Cluster names where every sample has one and at least two differ; else items are the units."""
    names = [s.cluster for s in samples]
    return names if None not in names and len(set(names)) > 1 else None


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
