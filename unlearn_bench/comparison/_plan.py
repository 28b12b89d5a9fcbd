"""Which metrics a gate judges, and what must be there for that: nothing goes unjudged unless the gate file names it."""

from collections.abc import Collection, Mapping

from unlearn_bench.comparison._direction import direction
from unlearn_bench.comparison._rules import Gate, require_possible
from unlearn_bench.comparison._verdict import bounds_of
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.comparison.metric_info import info
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import MetricValue
from unlearn_bench.untrusted.strings import shown

# Counted in every task, and mirrored by the scores: judging them by default would only cost power.
_DESCRIPTIVE = frozenset({"empty", "degenerate", "nli_contradiction", "coverage", "known_share"})
# Not judged by default together with one of these metrics of the same task, which equals or contains it.
_MIRRORED_BY = {
    "kfr_fluent": ("kfr",),
    "rouge1_recall": ("kfr", "krr", "rougeL_recall"),
    "rougeL_recall": ("kfr", "krr"),
    "perplexity": ("ls",),
    "brunet_index": ("ls",),
    "honore_statistic": ("ls",),
}
_MOST = 5


def judged(old: LoadedResult, new: LoadedResult, gate: Gate) -> dict[str, bool]:
    """The metrics to judge: "task/metric" to whether higher is better.

    What the gate names; without a gate, or with a default in it, also what the board shows, or else every metric that
    has a direction and is not mirrored by another.

    Raises:
        UserError: if the gate names what is not there, or asks what it cannot mean; if the candidate lacks what the
            baseline has; or if nothing is left to judge.
    """
    before, now = old.metrics(), new.metrics()
    every = before.keys() | now.keys()
    unused = gate.unused(every)
    if unused:
        raise did_you_mean("metric in the gate", unused[0], every)
    by_default = {key for key in before if _by_default(key, old, before)} - set(unreadable(old, new))
    wanted = {key for key in every if gate.names(key)} | (set() if gate.only_named else by_default)
    _require_candidate(wanted | by_default, before, now, gate)
    _require_baseline(wanted, before, gate)
    keys = sorted(key for key in wanted if key in before and key in now and not gate.rule(key).ignore)
    found = {key: _better(key, old, gate) for key in keys}
    if not found:
        raise UserError(
            "nothing to judge: the gate ignores every metric, or the results share none that has a direction",
            hint="name a metric that both results have, under `metrics` in the gate",
        )
    for key, better in found.items():
        if before[key].value is not None:
            require_possible(key, gate.rule(key), bounds_of(key), before[key].value, better)
    return found


def unreadable(old: LoadedResult, new: LoadedResult) -> list[str]:
    """Metrics that the perplexity model cannot judge in either result; a gate may still name them."""
    before, now = old.metrics(), new.metrics()
    return sorted(key for key in before.keys() & now.keys() if before[key].unreadable and now[key].unreadable)


def _by_default(key: str, baseline: LoadedResult, values: Mapping[str, MetricValue]) -> bool:
    task, _, metric = key.partition("/")
    if baseline.shown is not None:
        return key in baseline.shown
    if metric in _DESCRIPTIVE or direction(baseline.result, key) is None:
        return False
    if info(metric).kind == "summary" and values[key].value is None:
        return False  # without an oracle, or without the rows of every role, the baseline says nothing
    return not any(f"{task}/{other}" in values for other in _MIRRORED_BY.get(metric, ()))


def _require_candidate(wanted: Collection[str], before: Collection[str], now: Collection[str], gate: Gate) -> None:
    lost = sorted(k for k in wanted if k in before and k not in now and _must_be_there(gate, k))
    if lost:
        raise UserError(
            f"the candidate lacks {len(lost)} metrics of the baseline: {_listed(lost)}",
            hint="run the same tasks, or name in the gate what may be missing, with ignore: true",
        )


def _must_be_there(gate: Gate, key: str) -> bool:
    rule = gate.rule(key)
    return rule.required and not rule.ignore


def _require_baseline(wanted: Collection[str], before: Collection[str], gate: Gate) -> None:
    """An exact name that the baseline lacks cannot be judged; a pattern may also fit what is new."""
    absent = sorted(k for k in wanted if k not in before and k in gate.metrics and _must_be_there(gate, k))
    if absent:
        raise UserError(
            f"the baseline lacks {len(absent)} metrics that the gate names: {_listed(absent)}",
            hint="name a baseline that ran the same tasks, or set ignore: true for them",
        )


def _listed(keys: Collection[str]) -> str:
    more = f" and {len(keys) - _MOST} more" if len(keys) > _MOST else ""
    return ", ".join(map(shown, list(keys)[:_MOST])) + more


def _better(key: str, baseline: LoadedResult, gate: Gate) -> bool:
    """Whether higher is better; what the gate says must not contradict what the metric says."""
    known, said = direction(baseline.result, key), gate.rule(key).direction
    if known is None and said is None:
        raise UserError(
            f"gate: the better direction of {shown(key)} is unknown",
            hint="say direction: up or direction: down for it, or ignore: true",
        )
    if known is not None and said is not None and known != (said == "up"):
        raise UserError(
            f"gate: {shown(key)}: direction: {said} contradicts the metric, of which "
            f"a {'drop' if known else 'rise'} is worse on {_role(key, baseline)}"
        )
    return known if known is not None else said == "up"


def _role(key: str, baseline: LoadedResult) -> str:
    task = baseline.result.tasks.get(key.partition("/")[0])
    return f"{task.role} questions" if task else "this task"


def undirected(baseline: LoadedResult, candidate: LoadedResult) -> list[str]:
    """Metrics of stock tasks that both results have, and that no default gate can judge."""
    shared = baseline.metrics().keys() & candidate.metrics().keys()
    stock = [key for key in sorted(shared) if key.partition("/")[0] in baseline.result.other]
    return [key for key in stock if direction(baseline.result, key) is None]
