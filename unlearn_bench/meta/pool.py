"""The models of a pool with their numbers, and which of these can be compared over all of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from unlearn_bench.comparison.follows import followed
from unlearn_bench.comparison.loaded import LoadedResult, metric_difference, task_differences
from unlearn_bench.errors import UserError
from unlearn_bench.harness.oracle import is_result
from unlearn_bench.meta.faithfulness import LEAST
from unlearn_bench.meta.knowing import of_run
from unlearn_bench.meta.rules import by_rule
from unlearn_bench.schema import Result, Role
from unlearn_bench.untrusted.strings import shown

Side = Literal["positive", "negative", "broken", "unlearned", "oracle"]
SIDES: tuple[Side, ...] = ("positive", "negative", "broken", "unlearned", "oracle")
INSIDE = "inside"  # in place of a task: what diagnostics saw
RELEARNING, QUANTIZATION = STRESSES = ("relearning", "quantization")
Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Member:
    """One model.

    Attributes:
        side: What is known of it: it knows, it does not, it is broken; it was unlearned (judged under stress only), or
            is the oracle whose relearning the others' is held against.
        values: "task/metric" to value; None where the model has none.
        after: Stress (of `STRESSES`) to the values under it.
    """

    name: str
    side: Side
    result: Result = field(repr=False)
    values: Values = field(repr=False)
    after: Mapping[str, Values] = field(default_factory=dict, repr=False)


def member(side: Side, loaded: LoadedResult, stressed: Mapping[str, LoadedResult]) -> Member:
    """A model, from its result and those under stress."""
    after = {stress: values_of(found) for stress, found in stressed.items()}
    return Member(loaded.name, side, loaded.result, values_of(loaded), after)


def under_stress(folder: Path) -> dict[str, LoadedResult]:
    """Stress to the result under it, of those that lie in the folder of a model's result.

    Raises:
        UserError: if one cannot be read, or does not follow from its samples.
    """
    return {stress: followed(folder / stress) for stress in STRESSES if is_result(folder / stress)}


def values_of(loaded: LoadedResult) -> dict[str, float | None]:
    """Every number of a result by "task/metric": KFR and KRR by each rule too, and what diagnostics saw."""
    found: dict[str, float | None] = {key: value.value for key, value in loaded.metrics().items()}
    if loaded.by_task is not None:
        # summaries take the same samples, and have no KFR of their own
        found |= {key: value for key, value in by_rule(loaded.by_task).items() if key.partition("[")[0] in found}
    inside = loaded.result.diagnostics
    tables = {} if inside is None else inside.tables
    return found | {f"{INSIDE}/{name}": value.value for table in tables.values() for name, value in table.items()}


def role_of(result: Result, key: str) -> Role | None:
    """The role of the rows that a metric is computed on; None for a stock task."""
    task = key.partition("/")[0]
    return "forget" if task == INSIDE else result.tasks[task].role if task in result.tasks else None


def require_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse a pool that is too small to say anything.

    Args:
        sizes: Side to its number of models.

    Raises:
        UserError: for fewer than three models on a side.
    """
    for side, what in (("positive", "know"), ("negative", "do not know")):
        count = sizes.get(side, 0)
        if count < LEAST:
            raise UserError(
                f"--{side}: {count} models that {what}, at least {LEAST} are needed",
                hint="an AUC between two models is 0 or 1 whatever the metric is worth; `unlearn-bench nano meta` makes"
                " pools",
            )


def require_pool(members: Sequence[Member]) -> None:
    """Refuse a pool that says nothing.

    Raises:
        UserError: for fewer than three models on a side, or a model that is there twice.
    """
    require_sizes(Counter(one.side for one in members))
    seen: dict[str, Member] = {}
    for one in members:
        first = seen.setdefault(_identity(one.result), one)
        if first is not one and {first.side, one.side} != {"negative", "oracle"}:
            sides = f"on --{first.side} and --{one.side}" if first.side != one.side else f"twice on --{one.side}"
            raise UserError(
                f"{shown(first.name)} and {shown(one.name)} are the same model, {sides}", hint="name each model once"
            )


def _identity(result: Result) -> str:
    """Who answered: the weights, or where they are not known the answers."""
    model = result.model
    if model.weights_sha256 is not None:
        return f"{model.weights_sha256} {model.adapter_sha256}"
    return result.samples_sha256 or result.fingerprint


def common(members: Sequence[Member], patterns: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """The numbers that all models have and that mean the same in all of them, and notes on those left out.

    Args:
        members: Models; those that are only judged under stress decide too.
        patterns: Only these: "task/metric" or "metric", * and ? allowed.

    Raises:
        UserError: if nothing is left.
    """
    first = members[0]
    every = dict.fromkeys(key for one in members for key in one.values)
    wanted = [key for key in every if _matches(key, patterns)]
    if not wanted:
        raise UserError(f"--metrics {','.join(patterns)}: no result has such a metric")
    unlike: dict[str, list[str]] = {}
    kept = []
    for key in wanted:
        why = next((why for one in members if (why := _difference(first, one, key))), None)
        kept += [key] if why is None else []
        if why is not None:
            unlike.setdefault(why, []).append(key)
    if not kept:
        why, keys = next(iter(unlike.items()))
        raise UserError(
            "the models have no number in common",
            hint=f"{keys[0]}: {why}; ask all of them the same --tasks with the same settings",
        )
    return kept, [f"left out, {why}: {keys[0]}{_more(len(keys) - 1)}" for why, keys in unlike.items()]


def _matches(key: str, patterns: Sequence[str]) -> bool:
    name = key.partition("/")[2]
    plain = name.partition("[")[0]
    return not patterns or any(fnmatchcase(text, p) for text in (key, name, plain) for p in patterns)


def _difference(first: Member, one: Member, key: str) -> str | None:
    """Why a number of two models cannot be compared; None where it can."""
    for who in (first, one):
        if key not in who.values:
            return f"not of {shown(who.name)}"
    task, _, metric = key.partition("/")
    if one is first or task not in first.result.tasks:
        return None
    ours, theirs = first.result.tasks[task], one.result.tasks[task]
    told = _run_differences(first, one, task) if of_run(metric) else task_differences(ours, theirs)
    if not told and "[" not in metric and theirs.metrics[metric].n and ours.metrics[metric].n:
        told = [why] if (why := metric_difference(ours, theirs, metric)) else []
    return f"{shown(one.name)} has another {'; '.join(told)}" if told else None


def _run_differences(first: Member, one: Member, task: str) -> list[str]:
    """Of a number of the whole run that is about forget rows: differences of the forget and holdout rows below it."""
    names = first.result.tasks[task].samples_of
    about = [name for name in names if role_of(first.result, name) in ("forget", "holdout")]
    lacking = [name for name in about if name not in one.result.tasks]
    if lacking:
        return [f"number of question sets: {lacking[0]} is missing"]
    return [told for name in about for told in task_differences(first.result.tasks[name], one.result.tasks[name])]


def _more(count: int) -> str:
    return f" and {count} more" if count else ""
