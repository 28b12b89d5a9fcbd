"""The short table of a pool: every metric of knowledge with its AUC, R and Q, beside the published figures.

`to_dict` makes what is committed as leaderboards/nano_meta/table.json, `rows` the cells of it that pages show.
"""

from collections.abc import Mapping
from typing import Any

from unlearn_bench.meta.document import grid, number, place_cell
from unlearn_bench.meta.evaluate import MetaReport, MetricReport
from unlearn_bench.meta.pool import STRESSES
from unlearn_bench.meta.published import SOURCE, published
from unlearn_bench.meta.robustness import Robustness

SCHEMA_VERSION = "1.0"
COLUMNS = (
    "place", "metric", "AUC [95 %]", "broken", "R", "R one-sided", "Q", "Q one-sided", "published AUC", "published R",
    "published Q",
)  # fmt: skip
BESIDE = ("metric", "AUC on nano", "AUC on smol", "published AUC")


def to_dict(reports: Mapping[str, MetaReport], settings: Mapping[str, object]) -> dict[str, Any]:
    """The table as JSON: a list of metrics for each role of rows that was asked.

    Args:
        reports: Role to its report.
        settings: What made the pool.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": dict(settings),
        "published": SOURCE,
        "pools": {
            role: {
                "models": {side: len(names) for side, names in report.models.items()},
                "metrics": [_metric(one) for one in report.metrics if one.auc is not None],
            }
            for role, report in reports.items()
        },
    }


def _metric(one: MetricReport) -> dict[str, Any]:
    known = published(one.key)
    return {
        "metric": one.key,
        "knows": one.knows,
        "place": one.place,
        "tied": one.tied,
        "auc": _rounded(one.auc),
        "ci95": None if one.ci95 is None else [_rounded(end) for end in one.ci95],
        "means": {side: _rounded(value) for side, value in one.means.items()},
        "missing": {side: len(names) for side, names in one.missing.items()},
        "broken": _rounded(one.broken),
        **{name: _robust(getattr(one, name)) for name in STRESSES},
        "overall": _rounded(one.overall),
        "published": None if known is None else known._asdict(),
    }


def _robust(found: Robustness | None) -> dict[str, float | int | None] | None:
    if found is None:
        return None
    return {"symmetric": _rounded(found.symmetric), "one_sided": _rounded(found.one_sided), "n": found.n}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def rows(table: Mapping[str, Any], role: str = "forget") -> list[list[str]]:
    """The cells of the metrics of knowledge of one pool, as `COLUMNS` names them.

    Args:
        table: As `to_dict` makes it.
        role: Of the rows that the models of the pool know or do not know.
    """
    return [_row(one) for one in _metrics(table, role, knowledge=True)]


def _metrics(table: Mapping[str, Any], role: str, *, knowledge: bool) -> list[Mapping[str, Any]]:
    """The metrics of one pool that measure knowledge, or those that do not; none where there is no such pool."""
    metrics = table["pools"].get(role, {}).get("metrics", ())
    return [one for one in metrics if (one["knows"] is not None) == knowledge]


def other_rows(table: Mapping[str, Any], role: str = "forget") -> list[list[str]]:
    """The cells (metric, AUC, broken) of the metrics that do not measure this knowledge."""
    return [[one["metric"], _auc(one), number(one["broken"])] for one in _metrics(table, role, knowledge=False)]


def _row(one: Mapping[str, Any]) -> list[str]:
    place = place_cell(one["place"], tied=one["tied"])
    robust = [number((one[name] or {}).get(form)) for name in STRESSES for form in ("symmetric", "one_sided")]
    known = [number((one["published"] or {}).get(name)) for name in ("auc", *STRESSES)]
    return [place, one["metric"], _auc(one), number(one["broken"]), *robust, *known]


def _auc(one: Mapping[str, Any]) -> str:
    low, high = one["ci95"]
    return f"{one['auc']:.3f} [{low:.2f}, {high:.2f}]"


def markdown(table: Mapping[str, Any]) -> str:
    """The table in Markdown, a part for each pool."""
    lines = ["# Which metric can be believed", "", f"Published figures: {table['published']}.", ""]
    for role, pool in table["pools"].items():
        told = ", ".join(f"{count} {side}" for side, count in pool["models"].items())
        lines += [f"## Who knows the {role} rows, and who does not", "", f"Models: {told}.", ""]
        lines += [*grid(COLUMNS, rows(table, role)), ""]
        if others := other_rows(table, role):
            lines += ["Metrics that do not measure this (0.5 is best; broken: 1 is best):", ""]
            lines += [*grid(("metric", "AUC [95 %]", "broken"), others), ""]
    return "\n".join(lines).rstrip() + "\n"


def beside(tables: Mapping[str, Mapping[str, Any]], role: str = "forget") -> list[list[str]]:
    """The AUC of each metric of knowledge in several tables: cells of metric, AUC in each, and the published AUC.

    Args:
        tables: Benchmark ("nano") to its table; its metrics are named without it ("forget/kfr").
        role: Of the rows that the models of the pools know or do not know.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, table in tables.items():
        for one in _metrics(table, role, knowledge=True):
            found.setdefault(one["metric"].removeprefix(f"{name}_"), {})[name] = one
    return [
        [
            metric,
            *(_auc(own[name]) if name in own else "-" for name in tables),
            number((next(iter(own.values()))["published"] or {}).get("auc")),
        ]
        for metric, own in found.items()
    ]
