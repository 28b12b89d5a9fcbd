"""Results side by side: values, paired differences with intervals and p-values, flips, and what differs.

The first result is the reference of every comparison. Tasks that are unlike (other rows, scorers, settings) are listed
with the reason and not compared; p-values are two-sided and Holm-adjusted over the comparisons that were asked for.
"""

import fnmatch
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from unlearn_bench.comparison import _versus, follows
from unlearn_bench.comparison._direction import direction
from unlearn_bench.comparison._provenance import provenance_differences
from unlearn_bench.comparison.loaded import LoadedResult, distinct, metric_difference, task_differences
from unlearn_bench.comparison.output import interval, p_value
from unlearn_bench.comparison.question_sets import current_key, fits, in_one_vocabulary
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.results.identity import alike_told
from unlearn_bench.schema import CANNOT_READ, MetricValue, TaskResult
from unlearn_bench.stats import multiplicity, paired, power
from unlearn_bench.untrusted.escape import markdown

COLUMNS = ("difference [95 %]", "p (Holm)", "flips +/-")  # of another result, behind its value


@dataclass(frozen=True)
class Difference:
    """Another result against the reference on one metric; `difference` is other - reference, in the metric's unit."""

    name: str
    value: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    method: str | None = None
    n: int | None = None
    detectable: float | None = None
    better: int = 0
    worse: int = 0
    flips: list[_versus.Flip] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One metric of all results; `unlike` says why it is not compared."""

    key: str
    higher_is_better: bool | None
    reference: float | None
    interval: tuple[float, float] | None
    others: list[Difference]


@dataclass(frozen=True)
class CompareReport:
    """What `compare` found."""

    names: list[str]
    rows: list[Row]
    unlike: list[str]
    provenance: list[str]

    @property
    def nothing_compared(self) -> bool:
        """Whether no metric of any result could be compared with the first."""
        return all(other.difference is None for row in self.rows for other in row.others)

    def __str__(self) -> str:
        from unlearn_bench.comparison.text_table import to_text

        return to_text(self)


def compare(subjects: Sequence[LoadedResult], wanted: Sequence[str] = ()) -> CompareReport:
    """Compare results with the first of them.

    Args:
        subjects: At least two results.
        wanted: Names of the metrics to compare, "task/metric" or "metric", * and ? allowed; empty for all.

    Raises:
        UserError: for fewer than two results, none in common, a name that fits no metric, or a result that does not
            follow from its samples.
    """
    if len(subjects) < 2:
        raise UserError("compare takes at least two results")
    reference, *others = in_one_vocabulary(distinct(subjects), wanted)
    for subject in (reference, *others):
        follows.require(subject)
    values = [subject.metrics() for subject in (reference, *others)]
    keys = sorted(key for key in values[0] if any(key in other for other in values[1:]))
    if not keys:
        told = alike_told(*(subject.result for subject in (reference, *others)))
        raise UserError("the results share no metric", hint=told)
    every = {key for found in values for key in found}
    renamed = {name: current_key(name) for name in wanted if "/" in name and not fits(name, every)}
    keys = _chosen(keys, [renamed.get(name, name) for name in wanted], every)
    unlike = _unlike(reference, others)
    pairs = [_versus.pairs_by_task(reference, other) for other in others]
    found = {
        (key, place): _versus.versus(values[0][key], value[key], key.partition("/")[2], pairs[place].get(_task(key)),
                                     better=direction(reference.result, key) is not False)
        for key in keys
        for place, (other, value) in enumerate(zip(others, values[1:], strict=True))
        if (other.name, key) not in unlike and _defined(values[0][key], value.get(key))
    }  # fmt: skip
    tested = _tested(found)
    rows = []
    for key in keys:
        better = direction(reference.result, key)
        differences = [
            _difference(key, value.get(key), other.name, tested.get((key, i)), pairs[i], better is not False)
            for i, (other, value) in enumerate(zip(others, values[1:], strict=True))
        ]
        rows.append(Row(key, better, values[0][key].value, values[0][key].ci95, differences))
    shown_unlike = {pair: reasons for pair, reasons in unlike.items() if pair[1] in keys}
    notes = list(dict.fromkeys(reason for reasons in shown_unlike.values() for reason in reasons))
    notes += _unscored_notes(values, others, keys)
    notes += [
        f"{key} is not compared: the perplexity model cannot read this text ({CANNOT_READ})"
        for key in keys
        if any(key in value and value[key].unreadable for value in values)
    ]
    provenance = [f"{old} is now {new}; the old name works until 0.3" for old, new in renamed.items() if old != new]
    provenance += [line for other in others for line in provenance_differences(reference, other)]
    provenance += [note for subject in (reference, *others) for note in follows.taken_on_trust(subject)]
    return CompareReport([s.name for s in (reference, *others)], rows, notes, provenance)


def _task(key: str) -> str:
    return key.partition("/")[0]


def _defined(old: MetricValue, new: MetricValue | None) -> bool:
    return new is not None and old.value is not None and new.value is not None


def _chosen(keys: Sequence[str], wanted: Sequence[str], every: Collection[str]) -> list[str]:
    """The keys that the names fit, in their order."""
    for name in wanted:
        if not any(_fits(key, name) for key in every):
            raise did_you_mean("metric", name, {*every, *(key.partition("/")[2] for key in every)})
    chosen = [key for key in keys if not wanted or any(_fits(key, name) for name in wanted)]
    if not chosen:
        raise UserError(f"the results do not share {', '.join(wanted)}", hint=f"they share: {', '.join(keys[:20])}")
    return chosen


def _fits(key: str, name: str) -> bool:
    return fnmatch.fnmatchcase(key, name) or fnmatch.fnmatchcase(key.partition("/")[2], name)


def _tested(found: Mapping[tuple[str, int], paired.Comparison]) -> dict[tuple[str, int], paired.Comparison]:
    """The comparisons with Holm's two-sided p-values over all of them, and a test that so many can resolve."""
    count = sum(c.p_two_sided is not None for c in found.values())
    finer = {key: paired.resolved(c, 0.025 / max(1, count)) for key, c in found.items()}
    tested = [key for key, c in finer.items() if c.p_two_sided is not None]
    adjusted = dict(zip(tested, multiplicity.holm([finer[key].p_two_sided for key in tested]), strict=True))
    return {key: replace(c, p_two_sided=adjusted.get(key)) for key, c in finer.items()}


def _unscored_notes(values: Sequence[Mapping], others: Sequence[LoadedResult], keys: Sequence[str]) -> list[str]:
    """Where one result could score many more questions than the other: only those of both are compared."""
    found = []
    for other, value in zip(others, values[1:], strict=True):
        for key in keys:
            if (
                key in value
                and abs(_versus.scored_share(values[0][key]) - _versus.scored_share(value[key]))
                > _versus.UNSCORED_SHARE
            ):
                counts = f"{values[0][key].unscored} and {value[key].unscored} answers could not be scored"
                found.append(f"{other.name}, {key}: {counts}; only what both scored is compared")
    return found


def _unlike(reference: LoadedResult, others: Sequence[LoadedResult]) -> dict[tuple[str, str], list[str]]:
    """(other's name, "task/metric") to why the metric is not compared, for those that are not."""
    found = {}
    for other in others:
        for name, task in reference.result.tasks.items():
            if name in other.result.tasks:
                found |= _unlike_metrics(reference, other, name, task)
        for name, counted in reference.result.other_n.items():
            now = other.result.other_n.get(name, counted)
            if now != counted:
                reason = f"{other.name}, {name}: number of questions: {counted} and {now}"
                found |= {(other.name, f"{name}/{metric}"): [reason] for metric in reference.result.other[name]}
    return found


def _unlike_metrics(
    reference: LoadedResult, other: LoadedResult, name: str, old: TaskResult
) -> dict[tuple[str, str], list[str]]:
    new = other.result.tasks[name]
    of_task = [f"{other.name}, {name}: {reason}" for reason in task_differences(old, new)]
    if not of_task and None not in (reference.samples, other.samples):
        of_task = [f"{other.name}, {name}: {reason}" for reason in follows.row_problems(reference, other, name)[:3]]
    found = {}
    for metric in old.metrics:
        own = metric_difference(old, new, metric)
        reasons = of_task + ([f"{other.name}, {name}/{metric}: {own}"] if own else [])
        if reasons:
            found[other.name, f"{name}/{metric}"] = reasons
    return found


def _difference(
    key: str, new: MetricValue | None, name: str, found: paired.Comparison | None, pairs: Mapping, better: bool
) -> Difference:
    value = None if new is None else new.value
    if found is None:
        return Difference(name, value)
    sign = 1.0 if better else -1.0  # back from worth to the metric's unit; 0.0 + -0.0 is 0.0
    low, high = (None, None) if found.low is None else sorted((0.0 + sign * found.low, 0.0 + sign * found.high))
    flips = _versus.flips(pairs.get(_task(key), ()), key.partition("/")[2], higher_is_better=better)
    return Difference(
        name=name,
        value=value,
        difference=0.0 + sign * found.difference,
        low=low,
        high=high,
        p=found.p_two_sided,
        method=found.method,
        n=found.n,
        detectable=power.detectable(found, 0.025, 0.8, 0.0),
        better=sum(flip.better for flip in flips),
        worse=sum(not flip.better for flip in flips),
        flips=flips,
    )


def to_json(report: CompareReport) -> str:
    """The whole report as JSON."""
    body = asdict(report)
    for other in (other for row in body["rows"] for other in row["others"]):
        other["ci95"] = interval(other)
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_markdown(report: CompareReport) -> str:
    """The table as Markdown."""
    head = ["metric", report.names[0]]
    for name in report.names[1:]:
        head += [name, *COLUMNS]
    lines = [f"| {' | '.join(map(markdown, head))} |", f"|{' --- |' * len(head)}"]
    for row in report.rows:
        cells = [row.key, _number(row.reference)]
        for other in row.others:
            cells += cells_of(other)
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    notes = [*(f"not compared: {reason}" for reason in report.unlike), *report.provenance]
    return "\n".join([*lines, "", *(f"- {markdown(note)}" for note in notes)]) + "\n"


def cells_of(other: Difference) -> list[str]:
    """Value, difference with interval, p and flips, as text."""
    difference = "" if other.difference is None else f"{other.difference:+.3f}"
    if other.low is not None:
        difference += f" [{other.low:+.3f}, {other.high:+.3f}]"
    flips = f"+{other.better} -{other.worse}" if other.flips else ""
    return [_number(other.value), difference or "not compared", "" if other.p is None else p_value(other.p), flips]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


# No parentheses: they are markup only behind a bracket, and brackets are escaped.
