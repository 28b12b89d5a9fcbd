"""Means and intervals over seeds, as JSON and as Markdown.

    mean +- t(0.975, n - 1) s / sqrt(n)        s: standard deviation over the seeds

The interval says how much the training's own randomness moves a number, not how much another set of questions would
(that interval is in each cell's result.json). It is not given for one seed. With three seeds t is 4.30, so that
intervals are wide where seeds differ at all; ends outside of a share's range are cut.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from unlearn_bench.reproduce.study import Column, Row, Study

_EXPLANATION = (
    "KFR: share of forget questions whose fact is gone; KRR: share of retain questions whose fact is still there; "
    "para: questions in other words; LS: linguistic score of the paper; fluency and degenerate: share of answers "
    "that are English, and that are no language at all; ROUGE-L: recall; F, R: forget and retain questions; min: "
    "minutes of training. A number after ± is the 95 % interval over seeds (Student's t), not over questions."
)


def over_seeds(values: Sequence[float], *, top: float | None = 1.0) -> dict[str, object]:
    """Mean and 95 % interval over seeds.

    >>> over_seeds([0.8, 0.9])["mean"], over_seeds([0.5])["ci95"]
    (0.8500000000000001, None)
    """
    if not values:
        return {"mean": None, "ci95": None, "values": []}
    middle, interval = mean(values), None
    if len(values) > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
        interval = [max(0.0, middle - half), middle + half if top is None else min(top, middle + half)]
    return {"mean": middle, "ci95": interval, "values": list(values)}


def build(study: Study, rows: Sequence[Row], records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """One entry for each row that has a finished cell, in the rows' order.

    Args:
        study: Whose columns.
        rows: What was to be run.
        records: The cells' records.

    Returns:
        Of each row its name, group, method, seeds, and `over_seeds` of every column; values that could not be computed
        (no fluent answer, NaN) are left out of the mean and counted in `undefined`.
    """
    table = []
    for row in rows:
        mine = sorted((r for r in records if r["row"] == row.name), key=lambda r: r["seed"])
        if mine:
            numbers = {column.key: _column(column, mine) for column in study.columns}
            seeds = [record["seed"] for record in mine]
            table.append({"row": row.name, "group": row.group, "method": row.method, "seeds": seeds, **numbers})
    return table


def _column(column: Column, records: Sequence[Mapping[str, object]]) -> dict[str, object]:
    values = [_value(column, record) for record in records]
    known = [value for value in values if value is not None]
    return {**over_seeds(known, top=column.top), "undefined": len(values) - len(known)}


def _value(column: Column, record: Mapping[str, object]) -> float | None:
    if column.metric == "minutes":
        return record["minutes"]["training"]
    return record["metrics"].get(column.metric)


def markdown(study: Study, table: Sequence[Mapping[str, object]], notes: Sequence[str] = ()) -> str:
    """The table in Markdown, a heading for each group; `mean ± half width of the interval`."""
    lines = [f"# Unlearning methods on {study.about}", "", _EXPLANATION, ""]
    for group, title in study.groups.items():
        mine = [entry for entry in table if entry["group"] == group]
        if mine:
            lines += [f"## {title}", "", *_grid(study, mine), ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _grid(study: Study, entries: Sequence[Mapping[str, object]]) -> list[str]:
    head = ["method", "seeds", *(column.title for column in study.columns)]
    rule = ["---", *("---:" for _ in head[1:])]
    body = [[e["row"], str(len(e["seeds"])), *(_number(e[c.key], c.digits) for c in study.columns)] for e in entries]
    return ["| " + " | ".join(line) + " |" for line in [head, rule, *body]]


def _number(value: Mapping[str, object], digits: int) -> str:
    if value["mean"] is None:
        return "-"
    text = f"{value['mean']:.{digits}f}"
    if value["ci95"] is None:
        return text
    low, high = value["ci95"]
    return f"{text} ± {max(high - value['mean'], value['mean'] - low):.{digits}f}"
