"""From responses to scored samples, and from samples to the numbers of a task.

    responses -> flags -> evidence (entities, coverage, inference, perplexity) -> scores -> aggregates with intervals

Each part of the profile is called once, over everything that any scorer needs, without duplicates. What cannot be scored keeps
the reason; a part that fails for one item costs that item, not the run. A part named "given" takes the evidence that came with
the response. With `RELEASED` as options, coverage, rules and empty answers follow the paper's code to the letter.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from unlearn_bench import stats
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Given, MetricValue, Response, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers._base import Inference, Metric, Need, Parts, Scorer, Unscored
from unlearn_bench.scorers._coverage import coverage, without_question
from unlearn_bench.scorers._degenerate import degenerate, is_empty
from unlearn_bench.scorers.perplexity import empty_perplexity

GIVEN = "given"
FORGET_SPLITS = frozenset({"forget", "holdout"})  # the answer is the premise there (ReLearn, section 4.1)

RELEASED: Mapping[str, object] = {
    "kfr_rule": "released",
    "krr_rule": "released",
    "matching": "released",
    "question_words": "released",
    "empty_reference": "forgotten",
    "empty_perplexity": "drop",
}

DESCRIPTIVE = (
    Metric("coverage", "mean", None, (0.0, math.inf)),
    Metric("nli_contradiction", "proportion", None),
    Metric("empty", "proportion", higher_is_better=False),
    Metric("degenerate", "proportion", higher_is_better=False),
)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class GivenPart:
    """In place of any part: use the evidence that came with the responses."""

    name: str = GIVEN
    fingerprint: str = GIVEN


def resolve(names: Iterable[str]) -> list[str]:
    """Scorer names for scorer or metric names, in order, once each ("ls" is made by linguistic_score).

    Raises:
        UserError: for an unknown name; names the nearest.
    """
    by_metric = {metric.name: name for name in reversed(SCORERS.names()) for metric in SCORERS.get(name).metrics}
    known = {**by_metric, **{name: name for name in SCORERS.names()}}
    names = list(names)
    for name in names:
        if name not in known:
            raise did_you_mean("metric", name, known)
    return list(dict.fromkeys(known[name] for name in names))


def score_responses(
    responses: Sequence[Response], scorers: Sequence[str], parts: Parts, options: Mapping[str, object]
) -> list[Sample]:
    """Score responses, each with the evidence its scorers need.

    Args:
        scorers: Names of scorers (or of metrics).
        parts: The ingredients of the scoring profile.
        options: Scorer options that differ from the defaults.

    Returns:
        A sample per response, in order.

    Raises:
        UserError: for an unknown scorer or option, or an option's impossible value.
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    settings = _settings(options)
    samples = [_sample(response) for response in responses]
    given = [response.given or Given() for response in responses]

    def wanted(need: Need) -> list[int]:
        return [i for i, s in enumerate(samples) if any(need in m.needs and applies(m, s) for m in members)]

    _add_coverage(samples, given, wanted("coverage"), parts, settings)
    _add_inference(samples, given, wanted("nli"), parts)
    _add_perplexity(samples, given, wanted("perplexity"), parts, settings)
    for sample in samples:
        _score(sample, members, settings)
    return samples


def aggregate(
    samples: Sequence[Sample],
    scorers: Sequence[str],
    options: Mapping[str, object],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
    only: Collection[str] | None = None,
) -> dict[str, MetricValue]:
    """The numbers of a task: each metric's value, interval, and what could not be scored.

    Args:
        samples: Scored samples of one task.
        resamples: Bootstrap draws; 0 leaves out the intervals that need them.
        only: Names of the metrics to compute; None: all of the scorers', and the descriptive ones.

    Returns:
        Metric name to value; a metric that no sample has is there with value None.
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    settings = _settings(options)
    plan: dict[str, tuple[Metric, Scorer | None]] = {m.name: (m, s) for s in members for m in s.metrics}
    plan.update({m.name: (m, None) for m in DESCRIPTIVE if _described(m.name, samples)})

    def compute(metric: Metric, scorer: Scorer | None) -> MetricValue:
        task = _Task(samples, metric, scorer, settings, confidence, seed, resamples)
        return task.value()

    return {name: compute(*entry) for name, entry in plan.items() if only is None or name in only}


def clusters_of(samples: Sequence[Sample]) -> list[str] | None:
    """Cluster names where the data names them for all samples and at least two differ, else None: items are the units."""
    names = [s.cluster for s in samples]
    return names if None not in names and len(set(names)) > 1 else None


def applies(scorer: Scorer, sample: Sample) -> bool:
    """Whether a scorer's numbers mean something on the sample's split."""
    return not scorer.splits or sample.split in scorer.splits


def _settings(options: Mapping[str, object]) -> dict[str, object]:
    defaults = {key: value for name in SCORERS.names() for key, value in SCORERS.get(name).options.items()}
    for key in options:
        if key not in defaults:
            raise did_you_mean("scorer option", key, defaults)
    return {**defaults, **options}


def _sample(response: Response) -> Sample:
    return Sample(
        **response.model_dump(exclude={"given"}),
        empty=is_empty(response.response),
        degenerate=degenerate(response.response),
    )


def _score(sample: Sample, members: Iterable[Scorer], settings: Mapping[str, object]) -> None:
    for member in members:
        if not applies(member, sample):
            continue
        for name, value in member.score(sample, settings).items():
            if isinstance(value, Unscored):
                sample.unscored[name] = value.reason
            elif not math.isfinite(value):
                sample.unscored[name] = "not_finite"
            else:
                sample.scores[name] = float(value)


def _once(call: Callable[[Sequence[Key]], Sequence[Value]], inputs: Iterable[Key]) -> dict[Key, Value]:
    """Call a part once, over the distinct inputs."""
    distinct = list(dict.fromkeys(inputs))
    return dict(zip(distinct, call(distinct), strict=True)) if distinct else {}


def _add_coverage(
    samples: Sequence[Sample],
    given: Sequence[Given],
    wanted: Sequence[int],
    parts: Parts,
    settings: Mapping[str, object],
) -> None:
    # a coverage that came with the data was computed from the entities as they are
    as_given = parts.similarity is not None and parts.similarity.name == GIVEN
    question_words = "keep" if as_given else _choice(settings, "question_words")
    entities = _entities(samples, given, wanted, parts)
    pairs: dict[int, tuple[list[str], list[str]]] = {}
    for i in wanted:
        sides = entities[i]
        if isinstance(sides, Unscored):
            samples[i].unscored["coverage"] = sides.reason
            continue
        reference, response = without_question(*sides, samples[i].question, question_words=question_words)
        samples[i].entities_reference, samples[i].entities_response = reference, response
        pairs[i] = (reference, response)
    values = _coverages(pairs, given, parts, settings)
    for i, value in values.items():
        if isinstance(value, Unscored):
            samples[i].unscored["coverage"] = value.reason
        else:
            samples[i].coverage = value


def _entities(
    samples: Sequence[Sample], given: Sequence[Given], wanted: Sequence[int], parts: Parts
) -> dict[int, tuple[list[str], list[str]] | Unscored]:
    part = parts.entities
    if part is None:
        return dict.fromkeys(wanted, Unscored("no_entity_extractor"))
    if part.name == GIVEN:
        return {i: _given_entities(given[i]) for i in wanted}
    asked = [i for i in wanted if samples[i].reference]
    texts = [text for i in asked for text in (samples[i].reference, samples[i].response) if not is_empty(text)]
    found: dict[str, list[str] | Unscored] = _once(part, texts)

    def sides(i: int) -> tuple[list[str], list[str]] | Unscored:
        if not samples[i].reference:
            return Unscored("no_reference")
        both = [found.get(text, []) for text in (samples[i].reference, samples[i].response)]
        return next((side for side in both if isinstance(side, Unscored)), (both[0], both[1]))

    return {i: sides(i) for i in wanted}


def _given_entities(given: Given) -> tuple[list[str], list[str]] | Unscored:
    if given.entities_reference is None or given.entities_response is None:
        return Unscored("no_entities_given")
    return given.entities_reference, given.entities_response


def _coverages(
    pairs: Mapping[int, tuple[list[str], list[str]]],
    given: Sequence[Given],
    parts: Parts,
    settings: Mapping[str, object],
) -> dict[int, float | Unscored]:
    part = parts.similarity
    if part is None:
        return dict.fromkeys(pairs, Unscored("no_similarity"))
    if part.name == GIVEN:
        return {i: Unscored("no_coverage_given") if given[i].coverage is None else given[i].coverage for i in pairs}
    distinct = {i: (tuple(reference), tuple(response)) for i, (reference, response) in pairs.items()}
    matrices = _once(
        lambda sides: part([(list(r), list(g)) for r, g in sides]), [p for p in distinct.values() if all(p)]
    )
    matching, on_empty = _choice(settings, "matching"), _choice(settings, "empty_reference")

    def one(i: int) -> float | Unscored:
        reference, response = pairs[i]
        if not reference and on_empty == "forgotten":
            return 0.0
        matrix = matrices.get(distinct[i], np.zeros((len(reference), len(response))))
        if isinstance(matrix, Unscored) or not np.isfinite(matrix).all():
            return matrix if isinstance(matrix, Unscored) else Unscored("similarity_not_finite")
        return coverage(reference, response, matrix, threshold=part.threshold, matching=matching)

    return {i: one(i) for i in pairs}


def _add_inference(samples: Sequence[Sample], given: Sequence[Given], wanted: Sequence[int], parts: Parts) -> None:
    part = parts.nli
    verdicts: dict[tuple[str, str], Inference | Unscored] = {}
    if part is not None and part.name != GIVEN:
        verdicts = _once(part, [_premise_hypothesis(samples[i]) for i in wanted if _can_infer(samples[i])])
    for i in wanted:
        sample = samples[i]
        if part is None:
            verdict: Inference | Unscored = Unscored("no_nli")
        elif part.name == GIVEN:
            verdict = _given_inference(given[i])
        elif not _can_infer(sample):
            verdict = Unscored("empty_response" if sample.reference else "no_reference")
        else:
            verdict = verdicts[_premise_hypothesis(sample)]
        if isinstance(verdict, Unscored):
            sample.unscored["nli_contradiction"] = verdict.reason
        elif not math.isfinite(verdict.probability):
            sample.unscored["nli_contradiction"] = "nli_not_finite"
        else:
            sample.nli_label, sample.nli_probability = verdict.label, min(1.0, max(0.0, verdict.probability))


def _can_infer(sample: Sample) -> bool:
    return bool(sample.reference) and not sample.empty


def _premise_hypothesis(sample: Sample) -> tuple[str, str]:
    """Forget: does the answer contradict the reference? Retain: does the reference contradict the answer?"""
    pair = (sample.response, sample.reference or "")
    return pair if sample.split in FORGET_SPLITS else pair[::-1]


def _given_inference(given: Given) -> Inference | Unscored:
    if given.nli_label is None:
        return Unscored("no_inference_given")
    return Inference(given.nli_label, 1.0 if given.nli_probability is None else given.nli_probability)


def _add_perplexity(
    samples: Sequence[Sample],
    given: Sequence[Given],
    wanted: Sequence[int],
    parts: Parts,
    settings: Mapping[str, object],
) -> None:
    part = parts.reference_lm
    spoken = [i for i in wanted if not samples[i].empty]
    values: dict[tuple[str, str], float | Unscored] = {}
    if part is not None and part.name != GIVEN:
        values = _once(part, [(samples[i].question, samples[i].response) for i in spoken])
    for i in spoken:
        value: float | Unscored
        if part is None:
            value = Unscored("no_reference_lm")
        elif part.name == GIVEN:
            value = Unscored("no_perplexity_given") if given[i].perplexity is None else given[i].perplexity
        else:
            value = values[samples[i].question, samples[i].response]
        if isinstance(value, Unscored):
            samples[i].unscored["perplexity"] = value.reason
        elif not math.isfinite(value):
            samples[i].unscored["perplexity"] = "perplexity_not_finite"
        else:
            samples[i].perplexity = value
    _fill_empty(samples, [i for i in wanted if samples[i].empty], part is None, settings)


def _fill_empty(
    samples: Sequence[Sample], empty: Sequence[int], without_lm: bool, settings: Mapping[str, object]
) -> None:
    """Give empty answers the perplexity that they count as among the answers of their task."""
    others: dict[str, list[float]] = {}
    for sample in samples:
        if sample.perplexity is not None:
            others.setdefault(sample.task, []).append(sample.perplexity)
    policy = settings["empty_perplexity"]
    for i in empty:
        value = None if without_lm else empty_perplexity(others.get(samples[i].task, ()), policy=policy)
        samples[i].perplexity = value
        if value is None:
            samples[i].unscored["perplexity"] = "no_reference_lm" if without_lm else "empty_response"


_CHOICES = {
    "matching": ("one_to_one", "released"),
    "question_words": ("symmetric", "released", "keep"),
    "empty_reference": ("unscored", "forgotten"),
}


def _choice(settings: Mapping[str, object], name: str) -> str:
    value = settings[name]
    if value not in _CHOICES[name]:
        raise UserError(f"option {name}: expected {' or '.join(_CHOICES[name])}, got {value!r}")
    return str(value)


def _described(name: str, samples: Sequence[Sample]) -> bool:
    return name in ("empty", "degenerate") or any(_describe(name, s) is not None or name in s.unscored for s in samples)


def _describe(name: str, sample: Sample) -> float | None:
    if name == "coverage":
        return sample.coverage
    if name == "nli_contradiction":
        return None if sample.nli_label is None else float(sample.nli_label == "contradiction")
    return float(sample.empty if name == "empty" else sample.degenerate is not None)


@dataclass(frozen=True)
class _Task:
    """One metric over the samples of a task."""

    samples: Sequence[Sample]
    metric: Metric
    scorer: Scorer | None
    settings: Mapping[str, object]
    confidence: float
    seed: int
    resamples: int

    def value(self) -> MetricValue:
        values = [self._get(s) for s in self.samples]
        reasons = Counter(s.unscored[self.metric.name] for s in self.samples if self.metric.name in s.unscored)
        scored = [s for s, v in zip(self.samples, values, strict=True) if v is not None]
        present = [v for v in values if v is not None]
        point, interval = self._estimate(scored, present) if present else (None, None)
        return MetricValue(
            value=point,
            ci95=None if interval is None else (interval.low, interval.high),
            ci_method=None if interval is None else interval.method,
            n=len(present),
            unscored=reasons.total(),
            unscored_reasons=dict(sorted(reasons.items())),
            higher_is_better=self.metric.higher_is_better,
        )

    def _get(self, sample: Sample) -> float | None:
        if self.scorer is None:
            return _describe(self.metric.name, sample)
        return sample.scores.get(self.metric.name)

    def _estimate(self, scored: Sequence[Sample], present: list[float]) -> tuple[float | None, stats.Interval | None]:
        if self.metric.kind == "corpus":
            return self._corpus(scored)
        clusters = clusters_of(scored)
        mean = math.fsum(present) / len(present)
        if self.metric.kind == "proportion":
            return mean, stats.proportion_interval(present, clusters, confidence=self.confidence)
        return mean, self._bootstrap(np.array(present), clusters)

    def _corpus(self, scored: Sequence[Sample]) -> tuple[float | None, stats.Interval | None]:
        name, scorer = self.metric.name, self.scorer
        if scorer.combine is None or not self.metric.components:
            return scorer.aggregate(name, scored, self.settings), None
        parts = [[s.scores.get(c, math.nan) for c in self.metric.components] for s in self.samples]
        known = [i for i, row in enumerate(parts) if not all(map(math.isnan, row))]
        rows = np.array([parts[i] for i in known])
        clusters = clusters_of([self.samples[i] for i in known])
        point = float(scorer.combine(name, np.nanmean(rows, axis=0)))
        return point, self._bootstrap(rows, clusters, lambda means: scorer.combine(name, means))

    def _bootstrap(
        self, values: np.ndarray, clusters: list[str] | None, combine: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> stats.Interval | None:
        if self.resamples == 0:
            return None
        return stats.bootstrap(
            values, clusters, combine=combine, confidence=self.confidence, resamples=self.resamples, seed=self.seed
        )
