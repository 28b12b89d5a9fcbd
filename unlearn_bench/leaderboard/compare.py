"""Results side by side: values, paired differences with intervals and p-values, flips, and what differs.

The first result is the reference of every comparison. Tasks that are unlike (other rows, scorers, settings) are listed
with the reason and not compared; p-values are two-sided and Holm-adjusted over all comparisons shown.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from unlearn_bench import stats
from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _paired, _versus
from unlearn_bench.leaderboard._subject import Subject, distinct, metric_difference, task_differences
from unlearn_bench.leaderboard._text import shown
from unlearn_bench.leaderboard.check_output import p_value
from unlearn_bench.schema import MetricValue, Result, TaskResult


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


def compare(subjects: Sequence[Subject]) -> CompareReport:
    """Compare results with the first of them.

    Raises:
        UserError: for fewer than two results, or none in common.
    """
    if len(subjects) < 2:
        raise UserError("compare takes at least two results")
    reference, *others = distinct(subjects)
    values = [subject.metrics() for subject in (reference, *others)]
    keys = sorted(key for key in values[0] if any(key in other for other in values[1:]))
    if not keys:
        raise UserError("the results share no metric")
    unlike = _unlike(reference, others)
    pairs = [_versus.pairs_by_task(reference, other) for other in others]
    rows = []
    for key in keys:
        differences = [
            _difference(key, values[0][key], value.get(key), other.name, found, (other.name, key) in unlike)
            for other, value, found in zip(others, values[1:], pairs, strict=True)
        ]
        known = values[0][key]
        rows.append(Row(key, known.higher_is_better, known.value, known.ci95, differences))
    reasons = list(dict.fromkeys(reason for found in unlike.values() for reason in found))
    provenance = [line for other in others for line in provenance_differences(reference, other)]
    return CompareReport([s.name for s in (reference, *others)], _adjusted(rows), reasons, provenance)


def _unlike(reference: Subject, others: Sequence[Subject]) -> dict[tuple[str, str], list[str]]:
    """(other's name, "task/metric") to why the metric is not compared, for those that are not."""
    found = {}
    for other in others:
        for name, task in reference.result.tasks.items():
            if name in other.result.tasks:
                found |= _unlike_metrics(other.name, name, task, other.result.tasks[name])
    return found


def _unlike_metrics(other: str, name: str, old: TaskResult, new: TaskResult) -> dict[tuple[str, str], list[str]]:
    of_task = [f"{other}, {name}: {reason}" for reason in task_differences(old, new)]
    found = {}
    for metric in old.metrics:
        own = metric_difference(old, new, metric)
        reasons = of_task + ([f"{other}, {name}/{metric}: {own}"] if own else [])
        if reasons:
            found[other, f"{name}/{metric}"] = reasons
    return found


def _difference(
    key: str, old: MetricValue, new: MetricValue | None, name: str, pairs: dict, unlike: bool
) -> Difference:
    value = None if new is None else new.value
    if unlike or value is None or old.value is None:
        return Difference(name, value)
    task, _, metric = key.partition("/")
    found = _versus.versus(old, new, metric, pairs.get(task))
    better = old.higher_is_better is not False
    flips = _versus.flips(pairs.get(task, ()), metric, higher_is_better=better)
    low, high = (found.low, found.high) if better else _turned(found)
    return Difference(
        name=name,
        value=value,
        difference=value - old.value
        if found.method == "intervals"
        else (found.difference if better else 0.0 - found.difference),
        low=low,
        high=high,
        p=found.p_two_sided,
        method=found.method,
        n=found.n,
        detectable=_paired.detectable(found, 0.025, 0.8, 0.0),
        better=sum(flip.better for flip in flips),
        worse=sum(not flip.better for flip in flips),
        flips=flips,
    )


def _turned(found: _paired.Comparison) -> tuple[float | None, float | None]:
    return (None, None) if found.low is None else (0.0 - found.high, 0.0 - found.low)  # not -x: that gives -0.0


def _adjusted(rows: list[Row]) -> list[Row]:
    """The rows with Holm's p-values over every comparison that was made."""
    tested = [(r, d) for r, row in enumerate(rows) for d, x in enumerate(row.others) if x.p is not None]
    adjusted = dict(zip(tested, stats.holm([rows[r].others[d].p for r, d in tested]), strict=True))
    return [
        replace(row, others=[replace(x, p=adjusted.get((r, d), x.p)) for d, x in enumerate(row.others)])
        for r, row in enumerate(rows)
    ]


def provenance_differences(old: Subject, new: Subject) -> list[str]:
    """What is not the same about two runs, in words: model, code, environment, settings."""
    found = []
    for title, fields in _EXPLAINED.items():
        changed = [
            f"{label} {_short(_get(old.result, path))} and {_short(_get(new.result, path))}"
            for path, label in fields.items()
            if _get(old.result, path) != _get(new.result, path)
        ]
        if changed:
            found.append(f"{title}: {'; '.join(changed)}")
    if not found:
        return [f"{new.name}: the same model, code, environment and settings as {old.name}"]
    return [f"{new.name} against {old.name}, {line}" for line in found]


_EXPLAINED = {
    "another model": {
        "model.weights_sha256": "weights",
        "model.adapter_sha256": "adapter",
        "model.tokenizer_sha256": "tokenizer",
        "model.chat_template_sha256": "chat template (prompts differ)",
        "model.config_sha256": "config",
        "model.dtype": "dtype",
    },
    "other code": {
        "harness.version": "unlearn-bench",
        "harness.code_sha256": "its code",
        "harness.lm_eval": "lm_eval",
        "harness.transformers": "transformers",
    },
    "another environment": {
        "harness.torch": "torch",
        "harness.python": "python",
        "harness.platform": "platform",
        "run.device": "device",
        "run.batch_size": "batch size",
    },
    "other settings": {
        "run.seed": "seed",
        "run.prompt": "prompt",
        "run.first_answer": "first answer",
        "run.limit": "limit",
    },
}


def _get(result: Result, path: str) -> object:
    first, second = path.split(".")
    part = getattr(result, first)
    return part.get(second) if isinstance(part, dict) else getattr(part, second)


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def to_json(report: CompareReport) -> str:
    """The whole report as JSON."""
    return json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_markdown(report: CompareReport) -> str:
    """The table as Markdown."""
    head = ["metric", report.names[0]]
    for name in report.names[1:]:
        head += [name, "difference [95 %]", "p", "flips +/-"]
    lines = [f"| {' | '.join(map(escape_markdown, head))} |", f"|{' --- |' * len(head)}"]
    for row in report.rows:
        cells = [row.key, _number(row.reference)]
        for other in row.others:
            cells += cells_of(other)
        lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    notes = [*(f"not compared: {reason}" for reason in report.unlike), *report.provenance]
    return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in notes)]) + "\n"


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
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#+!|~"} | {"&": "&amp;", "\n": " ", "\r": " "})


def escape_markdown(text: str) -> str:
    r"""A text that no Markdown reader takes for markup, in a table cell or out of one.

    >>> escape_markdown("<b>a|b</b>")
    '\\<b\\>a\\|b\\</b\\>'
    """
    return shown(text).translate(_MARKDOWN)
