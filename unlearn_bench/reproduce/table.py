"""Means and intervals over seeds, as JSON and as Markdown.

    mean +- t(0.975, n - 1) s / sqrt(n)        s: standard deviation over the seeds

The interval says how much the training's own randomness moves a number, not how much another set of questions would
(that interval is in each cell's result.json). It is not given for one seed. With three seeds t is 4.30, so that
intervals are wide where seeds differ at all; ends outside of a share's range are cut.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from unlearn_bench.reproduce.study import Row, Study
from unlearn_bench.stats.distributions import t_quantile

_EXPLANATION = (
    "KFR: share of forget questions whose fact is gone; KRR: share of retain questions whose fact is still there; "
    "para: questions in other words; LS: linguistic score of the paper, PPL: perplexity (a name after them: under "
    "another judge); fluency and degenerate: share of answers that are English, and that are no language at all; "
    "ROUGE-L: recall; prob, TR, ES, EM: probability of the right answer, truth ratio, extraction strength, exact "
    "memorization; MIA: AUC of Min-K between forget and holdout rows; FQ: forget quality against the oracle; F, R: "
    "forget and retain questions; min: minutes of training. A number after ± is the 95 % interval over seeds "
    "(Student's t), not over questions; - is not measured, or undefined."
)
_PLACES = (
    "0: as before unlearning; 1: as the model that never saw the forget set; above 1: beyond it. No place where the "
    "two do not differ beyond their noise."
)
_LOOKED_AT = {
    "uds": ("UDS", 2),
    "first_gold_best_rank": ("best rank of the first token", 1),
    "answer_gold_best_rank": ("of the answer", 1),
    "entity_gold_best_rank": ("of its entities", 1),
}
_INSIDE = (
    "Of the first seed, at most {most} questions. UDS: unlearning depth, 0: the forgotten is as easily read from the "
    "layers as before, 1: as hardly as of the oracle; best rank that the reference answer's tokens have in any layer, "
    "1: first."
)
_STRESS = (
    "Of the first seed: recovery of KFR under each stress above the oracle's: 0: no more comes back than of a model "
    "that never knew; 1: all that the original knows."
)


def over_seeds(values: Sequence[float], *, bottom: float | None = 0.0, top: float | None = 1.0) -> dict[str, object]:
    """Mean and 95 % interval over seeds, cut where the number's range ends.

    >>> over_seeds([0.8, 0.9])["mean"], over_seeds([0.5])["ci95"]
    (0.8500000000000001, None)
    """
    if not values:
        return {"mean": None, "ci95": None, "values": []}
    middle, interval = mean(values), None
    if len(values) > 1:
        half = t_quantile(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
        low, high = middle - half, middle + half
        interval = [low if bottom is None else max(bottom, low), high if top is None else min(top, high)]
    return {"mean": middle, "ci95": interval, "values": list(values)}


def build(study: Study, rows: Sequence[Row], records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """One entry for each row that has a finished cell, in the rows' order.

    Args:
        study: Whose columns.
        rows: What was to be run.
        records: The cells' records.

    Returns:
        Of each row its name, group, method, seeds, and `over_seeds` of every column; of the columns that are placed
        the same of their `places`, and of every stress the same of KFR's `excess`. Values that could not be computed
        (no fluent answer, NaN) are left out of the mean and counted in `undefined`; what was not measured of a seed
        is neither. `inside` has the same of the diagnostics' numbers.
    """
    table = []
    for row in rows:
        mine = sorted((r for r in records if r["row"] == row.name), key=lambda r: r["seed"])
        if mine:
            numbers = {c.key: _over(map(_values, mine), c.metric, top=c.top) for c in study.columns}
            seeds = [record["seed"] for record in mine]
            entry = {"row": row.name, "group": row.group, "method": row.method, "seeds": seeds, **numbers}
            inside = {key: _over((r.get("inside", {}) for r in mine), key, top=None) for key in _LOOKED_AT}
            table.append({**entry, "places": _places(study, mine), "excess": _excess(study, mine), "inside": inside})
    return table


def _places(study: Study, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, object]]:
    placed = [column for column in study.columns if column.placed]
    found = [record.get("places", {}) for record in records]
    return {c.key: _over(found, c.metric, bottom=None, top=None) for c in placed}


def _excess(study: Study, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, object]]:
    """By stress, in the order of the panel."""
    end = "/" + next(column.metric for column in study.columns if column.key == "kfr")
    found = [record.get("excess", {}) for record in records]
    stresses = dict.fromkeys(key for one in found for key in one if key.endswith(end))
    return {key.removesuffix(end): _over(found, key, bottom=None, top=None) for key in stresses}


def _over(
    found: Iterable[Mapping[str, float | None]], key: str, *, bottom: float | None = 0.0, top: float | None
) -> dict[str, object]:
    """`over_seeds` of one number, of those seeds for which it was measured."""
    values = [one[key] for one in found if key in one]
    known = [value for value in values if value is not None]
    return {**over_seeds(known, bottom=bottom, top=top), "undefined": len(values) - len(known)}


def _values(record: Mapping[str, Any]) -> dict[str, float | None]:
    return {**record["metrics"], "minutes": record["minutes"]["training"]}


def markdown(study: Study, table: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> str:
    """Scores, places and stress in Markdown, a heading for each group; `mean ± half width of the interval`."""
    lines = [f"# Unlearning methods on {study.about}", "", _EXPLANATION, ""]
    scores = {c.key: (c.title, c.digits) for c in study.columns if not c.inside}
    for group, title in study.groups.items():
        mine = [entry for entry in table if entry["group"] == group]
        if mine:
            lines += [f"## {title}", "", *_grid(mine, scores, lambda entry: entry), ""]
    inside = {c.key: (c.title, c.digits) for c in study.columns if c.inside}
    if any(_there(entry[key]) for entry in table for key in inside):
        lines += ["## Likelihoods, and LS and perplexity under a second judge", ""]
        if study.second_judge is not None:
            lines += [
                f"The second judge reads at most {study.judged_again.most} answers of a task, of the first seed.",
                "",
            ]
        lines += [*_grid(table, inside, lambda entry: entry), ""]
    places = {c.key: (c.title, 2) for c in study.columns if c.placed and any(_there(e["places"][c.key]) for e in table)}
    if places:
        grid = _grid(table, places, lambda entry: entry["places"])
        lines += [
            "## Between before unlearning (0) and never having seen the forget set (1)",
            "",
            _PLACES,
            "",
            *grid,
            "",
        ]
    stresses = {name: (name, 2) for name in dict.fromkeys(name for entry in table for name in entry["excess"])}
    if stresses:
        lines += ["## Under stress", "", _STRESS, "", *_grid(table, stresses, lambda entry: entry["excess"]), ""]
    if any(_there(number) for entry in table for number in entry["inside"].values()):
        told = _INSIDE.format(most=study.looked_at.most)
        lines += ["## Inside", "", told, "", *_grid(table, _LOOKED_AT, lambda entry: entry["inside"]), ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _there(number: Mapping[str, Any]) -> bool:
    return number["mean"] is not None


def _grid(
    entries: Sequence[Mapping[str, Any]],
    columns: Mapping[str, tuple[str, int]],
    numbers: Callable[[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]],
) -> list[str]:
    """A table.

    Args:
        entries: Its rows.
        columns: Key to title and digits.
        numbers: From a row to its numbers by key.
    """
    head = ["method", "seeds", *(title for title, _ in columns.values())]
    rule = ["---", *("---:" for _ in head[1:])]
    body = [
        [
            e["row"],
            str(len(e["seeds"])),
            *(_number(numbers(e).get(key), digits) for key, (_, digits) in columns.items()),
        ]
        for e in entries
    ]
    return ["| " + " | ".join(line) + " |" for line in [head, rule, *body]]


def _number(value: Mapping[str, Any] | None, digits: int) -> str:
    if value is None or value["mean"] is None:
        return "-"
    text = f"{value['mean']:.{digits}f}"
    if value["ci95"] is None:
        return text
    low, high = value["ci95"]
    return f"{text} ± {max(high - value['mean'], value['mean'] - low):.{digits}f}"
