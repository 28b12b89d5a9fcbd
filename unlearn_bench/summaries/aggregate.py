"""The summaries of a run as the metrics of a result."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from unlearn_bench.schema import MetricValue, Role, Sample, TaskResult
from unlearn_bench.scorers.base import Metric, Unscored
from unlearn_bench.summaries import SUMMARIES
from unlearn_bench.summaries.base import Estimate, Rows, Summary


def members() -> dict[str, Summary]:
    """Every summary by name."""
    return {name: SUMMARIES.get(name) for name in SUMMARIES.names()}


def metrics() -> dict[str, tuple[str, Metric]]:
    """Metric to the summary that makes it, and what it declares."""
    return {metric.name: (name, metric) for name, summary in members().items() for metric in summary.metrics}


def by_role(samples: Iterable[Sample]) -> dict[Role, list[Sample]]:
    """The samples of each role."""
    found: dict[Role, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.role, []).append(sample)
    return found


def summarise(
    samples: Sequence[Sample],
    oracle: Sequence[Sample] | None,
    options: Mapping[str, object],
    only: Collection[str] | None = None,
) -> dict[str, MetricValue]:
    """Every summary of some scored answers.

    Args:
        samples: The answers of all roles, each question once.
        oracle: An oracle's answers to the same rows; None where there is none.
        options: Options of scorers and summaries that differ from the defaults.
        only: Names of metrics or summaries; None: all.
    """
    rows = Rows(by_role(samples), None if oracle is None else by_role(oracle), options)
    found: dict[str, MetricValue] = {}
    for name, summary in members().items():
        told = [metric for metric in summary.metrics if only is None or not {name, metric.name}.isdisjoint(only)]
        if told and summary.belongs(rows):
            values = summary.compute(rows)
            found |= {metric.name: _value(metric, values[metric.name], len(samples)) for metric in told}
    return found


def _value(metric: Metric, found: Estimate | Unscored, rows: int) -> MetricValue:
    better = metric.direction()
    if isinstance(found, Unscored):
        reasons = {found.reason: rows}
        return MetricValue(value=None, n=0, unscored=rows, unscored_reasons=reasons, higher_is_better=better)
    interval = found.interval
    return MetricValue(
        value=found.value,
        ci95=None if interval is None else (interval.low, interval.high),
        ci_method=None if interval is None else interval.method,
        n=found.n,
        higher_is_better=better,
    )


def again(task: TaskResult, samples: Sequence[Sample], options: Mapping[str, object]) -> dict[str, MetricValue]:
    """The summaries of a task that its own samples give: all but those that an oracle's answers are needed for."""
    names = summaries_of(task)
    if not names:
        return {}
    found = summarise(samples, None, {k: v for k, v in options.items() if k in _options()})
    return {name: found[name] for name in names & found.keys() - held_against_oracle(task)}


def summaries_of(task: TaskResult) -> set[str]:
    """The metrics of a task that are summaries."""
    return task.metrics.keys() & metrics().keys()


def held_against_oracle(task: TaskResult) -> set[str]:
    """The summaries of a task that were made with an oracle's answers."""
    if "oracle" not in task.scorer.parts:
        return set()
    makers = metrics()
    return {name for name in summaries_of(task) if members()[makers[name][0]].oracle}


def _options() -> set[str]:
    return {key for summary in members().values() for key in summary.options}
