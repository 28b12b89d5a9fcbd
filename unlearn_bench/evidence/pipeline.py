"""From responses to scored samples, and from samples to the numbers of a task.

    responses -> flags -> evidence (coverage, inference, agreement, perplexity) -> scores -> aggregates with intervals

Each part of the profile is called once, over everything that any scorer needs, without duplicates. What cannot be
scored keeps the reason; a part that fails for one item costs that item, not the run. A part named "given" takes the
evidence that came with the response. With `RELEASED` as options, coverage, rules and empty answers follow the paper's
code to the letter.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from unlearn_bench.evidence import gather
from unlearn_bench.evidence.gather import GivenPart, refill_empty
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import CANNOT_READ, Given, MetricValue, Response, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import KNOWLEDGE_HIDDEN, KNOWLEDGE_SHOWN, Metric, Need, Parts, Scorer, Unscored
from unlearn_bench.stats import intervals
from unlearn_bench.stats.intervals import Interval
from unlearn_bench.summaries import SUMMARIES
from unlearn_bench.text.degenerate import degenerate, is_empty

__all__ = ["DESCRIPTIVE", "RELEASED", "GivenPart", "aggregate", "applies", "clusters_of", "resolve", "score_responses"]

RELEASED: Mapping[str, object] = {
    "kfr_rule": "released",
    "krr_rule": "released",
    "matching": "released",
    "question_words": "released",
    "empty_reference": "forgotten",
    "empty_perplexity": "drop",
}

# Where evidence that is missing leaves its reason, as `gather.py` does.
_EVIDENCE: Mapping[Need, str] = {
    "coverage": "coverage",
    "nli": "nli_contradiction",
    "agreement": "known_share",
    "perplexity": "perplexity",
    "wording": "mean_logprob",
    **{need: need for need in gather.JUDGES},
}

THINKING: Mapping[str, str] = {"kfr": "kfr_thinking", "rougeL_recall": "rougeL_recall_thinking"}
"""Metric to the same of what was thought before the answer, on forget rows: a leak in a thinking block is a leak."""

_FLAGS = frozenset({"empty", "degenerate"})
DESCRIPTIVE = (
    Metric("coverage", "mean", KNOWLEDGE_SHOWN, (0.0, math.inf)),
    Metric("nli_contradiction", "proportion", KNOWLEDGE_HIDDEN),
    Metric("known_share", "mean", KNOWLEDGE_SHOWN),
    Metric("empty", "proportion", higher_is_better=False),
    Metric("degenerate", "proportion", higher_is_better=False),
    Metric(THINKING["kfr"], "proportion", higher_is_better=True),
    Metric(THINKING["rougeL_recall"], "mean", {"forget": False}),
)


def resolve(names: Iterable[str]) -> list[str]:
    """Scorer names for scorer or metric names, in order, once each ("ls" is made by linguistic_score).

    A number over several roles stands for the scorers that it is made of ("mia_loss" for loss).

    Raises:
        UserError: for an unknown name; names the nearest.
    """
    known = _scorer_of(tuple(SCORERS.names()))
    found: list[str] = []
    for name in names:
        if name in known:
            found.append(known[name])
        elif name in (over_roles := _over_roles()):
            found += resolve(over_roles[name])
        else:
            raise did_you_mean("metric", name, {*known, *over_roles})
    return list(dict.fromkeys(found))


@lru_cache(maxsize=4)  # asked several hundred times for one result
def _scorer_of(scorers: tuple[str, ...]) -> Mapping[str, str]:
    """Each metric and scorer to the scorer that makes it, the first of several."""
    by_metric = {metric.name: name for name in reversed(scorers) for metric in SCORERS.get(name).metrics}
    return {**by_metric, **{name: name for name in scorers}}


def _over_roles() -> dict[str, tuple[str, ...]]:
    """Each summary and metric of one to the scorers that it uses."""
    members = {name: SUMMARIES.get(name) for name in SUMMARIES.names()}
    return {n: s.uses for name, s in members.items() for n in (name, *(metric.name for metric in s.metrics))}


def score_responses(
    responses: Sequence[Response], scorers: Sequence[str], parts: Parts, options: Mapping[str, object]
) -> list[Sample]:
    """Score responses, each with the evidence its scorers need.

    Args:
        responses: The answers, of one task or of several.
        scorers: Names of scorers (or of metrics).
        parts: The ingredients of the scoring profile.
        options: Scorer options that differ from the defaults.

    Returns:
        A sample per response, in order.

    Raises:
        UserError: for an unknown scorer or option, or an option's impossible value.
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    settings = all_options(options)
    samples = [_sample(response) for response in responses]
    given = [response.given or Given() for response in responses]

    def wanted(need: Need) -> list[int]:
        given_answers = [(i, s) for i, s in enumerate(samples) if s.missing is None]
        return [i for i, s in given_answers if any(need in m.needs and applies(m, s) for m in members)]

    gather.add_coverage(samples, given, wanted("coverage"), parts, settings)
    gather.add_inference(samples, given, wanted("nli"), parts)
    gather.add_agreement(samples, given, wanted("agreement"), parts)
    gather.add_perplexity(samples, given, wanted("perplexity"), parts, settings)
    gather.add_wording(samples, wanted("wording"), parts)
    for judge in gather.JUDGES:
        gather.add_verdicts(judge, samples, wanted(judge), parts)
    optional: dict[Need, object] = {"agreement": parts.agreement, "wording": parts.wording}
    absent = {need for need, part in optional.items() if part is None}
    for sample in samples:
        _score(sample, members, settings, absent)
    if thought := _thought_of(members):
        _score_thinking(responses, samples, thought, parts, options)
    return samples


def _thought_of(members: Iterable[Scorer]) -> dict[str, str]:
    """Of `THINKING` what some scorers make."""
    made = {metric.name for member in members for metric in member.metrics}
    return {metric: name for metric, name in THINKING.items() if metric in made}


def _score_thinking(
    responses: Sequence[Response],
    samples: Sequence[Sample],
    names: Mapping[str, str],
    parts: Parts,
    options: Mapping[str, object],
) -> None:
    """Score thinking blocks of forget rows as if they were the answers.

    Args:
        responses: The answers.
        samples: Theirs; the numbers are added.
        names: Metric to the name that it has of thinking.
        parts: The ingredients of the scoring profile.
        options: Scorer options that differ from the defaults.
    """
    thought = [i for i, s in enumerate(samples) if s.thinking and s.role == "forget"]
    if not thought:
        return
    changes = {"thinking": None, "cut": [], "missing": None, "given": None}
    blocks = [responses[i].model_copy(update={"response": responses[i].thinking, **changes}) for i in thought]
    for i, block in zip(thought, score_responses(blocks, list(names), parts, options), strict=True):
        samples[i].scores |= {name: block.scores[metric] for metric, name in names.items() if metric in block.scores}
        samples[i].unscored |= {name: block.unscored[m] for m, name in names.items() if m in block.unscored}


def settle(samples: Sequence[Sample], scorers: Sequence[str], options: Mapping[str, object]) -> None:
    """Make samples that several processes scored equal to samples that one scored.

    Only an empty answer's perplexity depends on the other answers of its task: it is as bad as the worst of them.
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    settings = all_options(options)
    for sample in refill_empty(samples, settings):
        _score(sample, members, settings)
        for name in sample.scores:
            sample.unscored.pop(name, None)


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
        scorers: Names of scorers (or of metrics).
        options: Scorer options that differ from the defaults.
        confidence: Level of the intervals.
        seed: Of the bootstrap.
        resamples: Bootstrap draws; 0 leaves out the intervals that need them.
        only: Names of the metrics to compute; None: all of the scorers', and the descriptive ones.

    Returns:
        Metric name to value; a metric that no sample has is there with value None.
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    all_options(options)  # refuses unknown ones; the samples hold what they decide
    plan: dict[str, tuple[Metric, Scorer | None]] = {m.name: (m, s) for s in members for m in s.metrics}
    described = _described_by(members)
    plan.update({m.name: (m, None) for m in DESCRIPTIVE if m.name in described and _described(m.name, samples)})

    def compute(metric: Metric, scorer: Scorer | None) -> MetricValue:
        task = _Task(samples, metric, scorer, confidence, seed, resamples)
        return task.value()

    return {name: compute(*entry) for name, entry in plan.items() if only is None or name in only}


def clusters_of(samples: Sequence[Sample]) -> list[str] | None:
    """Cluster names, where every sample has one and at least two differ; else None, and items are the units."""
    names = [s.cluster for s in samples]
    return names if None not in names and len(set(names)) > 1 else None


def applies(scorer: Scorer, sample: Sample) -> bool:
    """Whether a scorer's numbers mean something on the sample's role."""
    return not scorer.roles or sample.role in scorer.roles


def all_options(options: Mapping[str, object]) -> dict[str, object]:
    """The options of every scorer: the defaults, and those that differ.

    Raises:
        UserError: for an option that no scorer has; names the nearest.
    """
    defaults = default_options()
    for key in options:
        if key not in defaults:
            raise did_you_mean("scorer option", key, defaults)
    return {**defaults, **options}


def default_options() -> dict[str, object]:
    """Every option of every scorer and summary, with its default."""
    registries = ((SCORERS, SCORERS.names()), (SUMMARIES, SUMMARIES.names()))
    return {
        key: value for registry, names in registries for n in names for key, value in registry.get(n).options.items()
    }


def response_of(sample: Sample) -> Response:
    """What was scored: the response that a sample was made from, without what came given with it."""
    shared = Sample.model_fields.keys() & Response.model_fields.keys()
    return Response(**sample.model_dump(include=set(shared)))


def _sample(response: Response) -> Sample:
    there = response.missing is None
    return Sample(
        **response.model_dump(exclude={"given"}),
        empty=there and is_empty(response.response),
        degenerate=degenerate(response.response) if there else None,
    )


def _score(
    sample: Sample, members: Iterable[Scorer], settings: Mapping[str, object], absent: Collection[Need] = ()
) -> None:
    asked = [member for member in members if applies(member, sample)]
    if sample.missing is not None and (readers := [member for member in asked if "answer" in member.probes]):
        evidence = {_EVIDENCE[need] for member in readers for need in member.needs.difference(absent)}
        names = {metric.name for member in readers for metric in member.metrics} | evidence | _FLAGS
        sample.unscored |= dict.fromkeys(sorted(names), sample.missing)
        asked = [member for member in asked if member not in readers]
    for member in asked:
        for name, value in member.score(sample, settings).items():
            if isinstance(value, Unscored):
                sample.unscored[name] = value.reason
            elif not math.isfinite(value):
                sample.unscored[name] = "not_finite"
            else:
                sample.scores[name] = float(value)


def sample_value(sample: Sample, metric: str) -> float | None:
    """A sample's value of a metric, of a descriptive one too; None where it has none."""
    if metric in sample.scores:
        return sample.scores[metric]
    if metric == "coverage":
        return sample.coverage
    if metric == "known_share":
        return sample.agreement
    if metric == "nli_contradiction":
        return None if sample.nli_label is None else float(sample.nli_label == "contradiction")
    if metric in _FLAGS and sample.missing is None:  # an answer that is missing is not known to be empty or not
        return float(sample.empty if metric == "empty" else sample.degenerate is not None)
    return None


def _described_by(members: Iterable[Scorer]) -> set[str]:
    """The descriptive metrics of some scorers: samples may hold evidence that others asked for."""
    members = list(members)
    needs = {need for member in members for need in member.needs}
    names = {reason for need, reason in _EVIDENCE.items() if need in needs}
    flags = _FLAGS if any("answer" in member.probes for member in members) else frozenset()
    return {*flags, *names, *_thought_of(members).values()}


def _described(name: str, samples: Sequence[Sample]) -> bool:
    return name in _FLAGS or any(sample_value(s, name) is not None or name in s.unscored for s in samples)


@dataclass(frozen=True)
class _Task:
    """One metric over the samples of a task."""

    samples: Sequence[Sample]
    metric: Metric
    scorer: Scorer | None
    confidence: float
    seed: int
    resamples: int

    def value(self) -> MetricValue:
        values = [sample_value(s, self.metric.name) for s in self.samples]
        reasons = Counter(s.unscored[self.metric.name] for s in self.samples if self.metric.name in s.unscored)
        if 2 * reasons[CANNOT_READ] > len(self.samples):  # the few that it can read say nothing of the task
            reasons[CANNOT_READ] += sum(v is not None for v in values)
            values = [None] * len(values)
        scored = [s for s, v in zip(self.samples, values, strict=True) if v is not None]
        present = [v for v in values if v is not None]
        point, interval = self._estimate(scored, present) if present else (None, None)
        roles = {s.role for s in self.samples}
        return MetricValue(
            value=point,
            ci95=None if interval is None else (interval.low, interval.high),
            ci_method=None if interval is None else interval.method,
            n=len(present),
            unscored=reasons.total(),
            unscored_reasons=dict(sorted((+reasons).items())),
            higher_is_better=self.metric.direction(roles.pop() if len(roles) == 1 else None),
        )

    def _estimate(self, scored: Sequence[Sample], present: list[float]) -> tuple[float | None, Interval | None]:
        if self.metric.kind == "corpus":
            return self._corpus()
        clusters = clusters_of(scored)
        mean = math.fsum(present) / len(present)
        if self.metric.kind == "proportion":
            return mean, intervals.proportion_interval(present, clusters, confidence=self.confidence)
        return mean, self._bootstrap(np.array(present), clusters)

    def _corpus(self) -> tuple[float | None, Interval | None]:
        name, scorer = self.metric.name, self.scorer
        parts = [[s.scores.get(c, math.nan) for c in self.metric.components] for s in self.samples]
        known = [i for i, row in enumerate(parts) if not all(map(math.isnan, row))]
        rows = np.array([parts[i] for i in known])
        clusters = clusters_of([self.samples[i] for i in known])
        point = float(scorer.combine(name, np.nanmean(rows, axis=0)))
        return point, self._bootstrap(rows, clusters, lambda means: scorer.combine(name, means))

    def _bootstrap(
        self, values: np.ndarray, clusters: list[str] | None, combine: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Interval | None:
        if self.resamples == 0:
            return None
        return intervals.bootstrap(
            values, clusters, combine=combine, confidence=self.confidence, resamples=self.resamples, seed=self.seed
        )
