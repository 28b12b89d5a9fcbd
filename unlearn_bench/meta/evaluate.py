"""A pool of models becomes the report on its metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unlearn_bench.comparison.metric_info import info
from unlearn_bench.meta import correlation, robustness
from unlearn_bench.meta.faithfulness import LEAST, Separation, ranks, separation, threshold, wins
from unlearn_bench.meta.knowing import Knowing, amount, base_name, knowing
from unlearn_bench.meta.pool import QUANTIZATION, RELEARNING, Member, Side, common, require_pool, role_of
from unlearn_bench.meta.robustness import Robustness, harmonic
from unlearn_bench.schema import Role


@dataclass(frozen=True)
class MetricReport:
    """How far one number can be believed.

    Attributes:
        key: "task/metric"; a rule other than the default in brackets.
        knows: Which values say that more is known; None for a metric that does not measure it, of which `auc` is the
            share of pairs in which the knowing model has the higher value (0.5 is best).
        means: Mean value of each side that has one.
        missing: Side to the names of its models without a value.
        auc, ci95: Faithfulness, and its 95 % interval over models.
        reason: Why there is no AUC.
        place: Rank among the metrics that measure knowledge; equal places are ties.
        tied: Whether another metric has the same place.
        broken: Of a metric of knowledge: the share of pairs of a broken model and one that never knew, in which the
            broken one shows less (0.5 where both show the same): from 0.5 on it takes a wreck for good forgetting. Of
            another one: the AUC between whole and broken models, in its better direction.
        relearning, quantization: Robustness; None where nothing was put under stress.
        robust: Harmonic mean of the two, symmetric.
        overall: Harmonic mean of AUC and `robust`.
        threshold: Amount of knowledge above which a model counts as knowing.
    """

    key: str
    role: Role | None
    knows: Knowing | None
    means: Mapping[str, float]
    missing: Mapping[str, Sequence[str]]
    auc: float | None = None
    ci95: tuple[float, float] | None = None
    reason: str | None = None
    place: int | None = None
    tied: bool = False
    broken: float | None = None
    relearning: Robustness | None = None
    quantization: Robustness | None = None
    robust: float | None = None
    overall: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class MetaReport:
    """The whole report.

    Attributes:
        asked: Role of the rows that the models know or do not know.
        models: Side to the names of its models.
        metrics: Metrics of knowledge first, by place; then the others.
        spearman, pearson: Correlations between the metrics of knowledge, in their order.
        notes: What the reader should know.
    """

    asked: Role
    models: Mapping[str, Sequence[str]]
    metrics: Sequence[MetricReport]
    spearman: correlation.Matrix
    pearson: correlation.Matrix
    notes: Sequence[str]

    def metric(self, key: str) -> MetricReport:
        """The report of one number."""
        return next(one for one in self.metrics if one.key == key)


def evaluate(members: Sequence[Member], *, asked: Role = "forget", metrics: Sequence[str] = ()) -> MetaReport:
    """Judge the metrics of a pool.

    Args:
        members: Models of all sides; those of "positive" and "negative" decide the AUC.
        asked: Role of the rows that they know or do not know.
        metrics: Only these: "task/metric" or "metric", * and ? allowed.

    Raises:
        UserError: for fewer than three models on a side, a model that is there twice, or nothing in common.
    """
    require_pool(members)
    ordered = sorted(members, key=lambda one: one.side != "positive")
    keys, notes = common(ordered, metrics)
    reports = [_judge(key, ordered, asked) for key in keys]
    judged = _placed([one for one in reports if one.knows is not None])
    others = sorted((one for one in reports if one.knows is None), key=lambda one: one.key)
    columns = {
        one.key: [_shown(model.values[one.key], one) for model in ordered if model.side in ("positive", "negative")]
        for one in judged
    }
    spearman, pearson = correlation.correlations(columns)
    sides = {side: [one.name for one in ordered if one.side == side] for side in dict.fromkeys(m.side for m in ordered)}
    return MetaReport(asked, sides, [*judged, *others], spearman, pearson, notes)


def _shown(value: float | None, one: MetricReport) -> float | None:
    """The value, turned where lower values say that more is known."""
    return None if value is None or not math.isfinite(value) else value if one.knows == "higher" else -value


def _judge(key: str, members: Sequence[Member], asked: Role) -> MetricReport:
    metric, role = key.partition("/")[2], role_of(members[0].result, key)
    knows = knowing(metric, role, asked)
    raw, missing = _by_side(key, members)
    means = {side: math.fsum(values) / len(values) for side, values in raw.items() if values}
    report = MetricReport(key, role, knows, means, missing)
    sign = -1.0 if knows == "lower" else 1.0
    sides = {side: [sign * value for value in values] for side, values in raw.items()}
    found = separation(sides["positive"], sides["negative"])
    report = replace(report, broken=_broken(sides, metric, role, knows))
    if found is None:
        return replace(report, reason=_too_few(raw, missing))
    report = replace(report, auc=found.auc, ci95=found.ci95)
    return report if knows is None else _stressed(report, key, members, sides, sign)


def _by_side(key: str, members: Sequence[Member]) -> tuple[dict[Side, list[float]], dict[str, list[str]]]:
    """Side to its finite values, and to the names of its models that have none."""
    raw: dict[Side, list[float]] = {"positive": [], "negative": []}
    missing: dict[str, list[str]] = {}
    for one in members:
        value = one.values[key]
        if value is None or not math.isfinite(value):
            missing.setdefault(one.side, []).append(one.name)
        else:
            raw.setdefault(one.side, []).append(value)
    return raw, missing


def _too_few(raw: Mapping[Side, Sequence[float]], missing: Mapping[str, Sequence[str]]) -> str:
    sides: tuple[Side, Side] = ("positive", "negative")
    told = [
        f"{len(raw[side])} of {len(raw[side]) + len(missing.get(side, ()))} {side} models have a value"
        for side in sides
        if len(raw[side]) < LEAST
    ]
    return f"{' and '.join(told)}, {LEAST} are needed"


def _broken(
    sides: Mapping[Side, Sequence[float]], metric: str, role: Role | None, knows: Knowing | None
) -> float | None:
    """See `MetricReport.broken`."""
    wrecks = sides.get("broken")
    if not wrecks:
        return None
    if knows is not None:
        return float(wins(sides["negative"], wrecks).mean()) if sides["negative"] else None
    better = info(base_name(metric)).direction(role)
    whole = [*sides["positive"], *sides["negative"]]
    if better is None or not whole:
        return None
    share = float(wins(whole, wrecks).mean())
    return share if better else 1 - share


def _stressed(
    report: MetricReport, key: str, members: Sequence[Member], sides: Mapping[Side, Sequence[float]], sign: float
) -> MetricReport:
    """With robustness, over the models that the metric itself calls unlearned."""
    cut = threshold(sides["positive"], sides["negative"])
    judged = [one for one in members if one.side == "unlearned"] or [one for one in members if one.side == "negative"]
    calm = [one for one in judged if (value := one.values[key]) is not None and sign * value <= cut]
    oracle = next((one for one in members if one.side == "oracle"), None)
    pairs = [found for one in calm if (found := _amounts(report, one, QUANTIZATION)) is not None]
    quantized = [robustness.quantization(*pair) for pair in pairs]
    relearned = []
    control = None if oracle is None else _amounts(report, oracle, RELEARNING)
    if control is not None:
        found = (_amounts(report, one, RELEARNING) for one in calm)
        relearned = [robustness.relearning(pair, control) for pair in found if pair is not None]
    r, q = (robustness.mean_of(values) if values else None for values in (relearned, quantized))
    robust = harmonic([one and one.symmetric for one in (r, q)])
    return replace(
        report,
        threshold=sign * cut,
        relearning=r,
        quantization=q,
        robust=robust,
        overall=harmonic([report.auc, robust]),
    )


def _amounts(report: MetricReport, one: Member, stress: str) -> tuple[float, float] | None:
    """Knowledge shown before and after a stress; None where either is missing."""
    metric = report.key.partition("/")[2]
    told = []
    for values in (one.values, one.after.get(stress, {})):
        value = values.get(report.key)
        shown = None if value is None else amount(value, metric, report.knows)
        if shown is None or not math.isfinite(shown):
            return None
        told.append(shown)
    return told[0], told[1]


def _placed(reports: Sequence[MetricReport]) -> list[MetricReport]:
    """With places, best first; those without an AUC at the end, without a place."""
    judged = [one for one in reports if one.auc is not None and one.ci95 is not None]
    found = ranks([Separation(one.auc or 0.0, one.ci95 or (0.0, 1.0), 0, 0) for one in judged])
    placed = [replace(one, place=place, tied=found.count(place) > 1) for one, place in zip(judged, found, strict=True)]
    placed.sort(key=lambda one: (one.place or 0, -(one.auc or 0.0), one.key))
    return [*placed, *sorted((one for one in reports if one.auc is None), key=lambda one: one.key)]
