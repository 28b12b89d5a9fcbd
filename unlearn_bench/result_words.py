"""What a result says first, in a line for each of three questions: did it forget, did it retain, does it still speak?

    did it forget?  93 % (86.5 .. 96.4) of the answers to nano_forget no longer give the knowledge (kfr)
    did it retain?  100 % (98.4 .. 100) of the answers to nano_retain give the knowledge (krr); nano_neighbour 71 %
    does it speak?  fluency 0.98 on nano_forget, 0.99 on nano_retain

Only of results that hold KFR and KRR: where one side is missing, a high number of the other says little.
"""

from collections.abc import Sequence
from typing import NamedTuple

from unlearn_bench.errors import printable
from unlearn_bench.schema import MetricValue, Result, Role, TaskResult

_KEPT: tuple[Role, ...] = ("retain", "neighbour", "world")


class _Found(NamedTuple):
    task: str
    metric: MetricValue
    result: TaskResult


def answer_lines(result: Result) -> list[str]:
    """The three lines; none where not both sides are there."""
    forgotten, kept = _of(result, "kfr", ("forget",)), _of(result, "krr", _KEPT)
    if not forgotten or not kept:
        return []
    fluent = [own[0] for roles in (("forget",), _KEPT) if (own := _of(result, "fluency", roles))]
    lines = [
        f"did it forget?  {_shares(forgotten, 'no longer give the knowledge (kfr)')}",
        f"did it retain?  {_shares(kept, 'give the knowledge (krr)')}",
    ]
    if fluent:
        told = ", ".join(f"{_two(one.metric.value)} on {one.task}" for one in fluent)
        lines.append(f"does it speak?  fluency {told}{_degenerate(forgotten + kept)}")
    return [printable(line) for line in lines]


def _of(result: Result, metric: str, roles: Sequence[Role]) -> list[_Found]:
    """The tasks of some roles that have a metric, in the order of the roles; of tasks over the same questions one."""
    found: dict[tuple[str, ...], _Found] = {}
    for role in roles:
        for name, task in result.tasks.items():
            if task.role == role and metric in task.metrics and not name.endswith("_summary"):
                found.setdefault(tuple(task.samples_of) or (name,), _Found(name, task.metrics[metric], task))
    return list(found.values())


def _shares(found: Sequence[_Found], does: str) -> str:
    """The first with its interval and what it means, the others by name."""
    first, *others = found
    interval = first.metric.ci95
    ends = "" if interval is None else f" ({_hundredths(interval[0])} .. {_hundredths(interval[1])})"
    told = f"{_percent(first.metric)}{ends} of the answers to {first.task} {does}{_place(first.metric)}"
    return "; ".join([told, *([", ".join(f"{one.task} {_percent(one.metric)}" for one in others)] if others else [])])


def _place(metric: MetricValue) -> str:
    found = metric.place
    if found is None or found.value is None:
        return ""
    return f", place {found.value:.2f}{', over-forgotten' if found.over_forgotten else ''}"


def _degenerate(found: Sequence[_Found]) -> str:
    """Which answers are no language, where there are any."""
    broken = [f"{one.result.degenerate} of {one.result.n} on {one.task}" for one in found if one.result.degenerate]
    return f"; no language (degenerate): {', '.join(broken)}" if broken else ""


def _percent(metric: MetricValue) -> str:
    return "undefined" if metric.value is None else f"{_hundredths(metric.value)} %"


def _hundredths(share: float) -> str:
    """A share in per cent, to a tenth where it is not whole.

    >>> _hundredths(0.9976), _hundredths(0.5), _hundredths(1.0)
    ('99.8', '50', '100')
    """
    return f"{100 * share:.1f}".removesuffix(".0")


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
