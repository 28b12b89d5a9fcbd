"""The start page: each board as one plain table, and a legend that says how to read a number of it."""

from collections.abc import Sequence

from markupsafe import Markup

from unlearn_bench.boards.board import Board, BoardMetric
from unlearn_bench.boards.ranking import Ranked
from unlearn_bench.calibration.shipped import told_error
from unlearn_bench.results import metric_of
from unlearn_bench.schema import MetricValue
from unlearn_bench.site import _cells
from unlearn_bench.site.views import BoardView

MOST = 60  # rows of a board on the start page
_BETTER = {True: "higher is better", False: "lower is better"}
_AIM = "aim: the oracle"


def board_table(v: BoardView) -> dict[str, object]:
    """Columns and rows of a board: its metrics, then what comes back under stress where any entry was tested."""
    stressed = any(row.entry.result.stress for row in v.ranked)
    columns = [{"label": m.label, "aim": _aim(v.board, m), "help": _cells.meaning(m)} for m in v.board.metrics]
    if stressed:
        columns.append({"label": "Comes back under stress", "aim": _BETTER[False], "help": _cells.STRESS_HELP})
    return {
        "columns": columns,
        "rows": [_row(v, row, stressed=stressed) for row in v.ranked[:MOST]],
        "more": max(0, len(v.ranked) - MOST),
    }


def _aim(board: Board, metric: BoardMetric) -> str:
    """Which value is good: on forget rows that of a model that never saw them."""
    on_forget = board.tasks[metric.task].role == "forget" and metric.axis != "fluency" and metric.metric != "ls"
    return _AIM if on_forget else _BETTER[metric.higher_is_better]


def _row(v: BoardView, row: Ranked, *, stressed: bool) -> dict[str, object]:
    result = row.entry.result
    cells = [_value(metric_of(result, m.key), interval=m.axis is not None) for m in v.board.metrics]
    if stressed:
        cells.append(Markup(_cells.robustness_cell(result)[0]))  # escaped there
    return {
        "rank": row.label,
        "name": row.entry.name,
        "url": v.urls[row.entry.name],
        "tags": [tag for tag in _cells.tags(row) if tag["word"] != "verified"],
        "cells": cells,
    }


def _value(found: MetricValue | None, *, interval: bool) -> Markup:
    if found is None:
        return Markup(_cells.NOT_MEASURED)
    if found.value is None:
        return Markup("undefined")
    html = Markup("{:.3f}").format(found.value)
    if interval and found.ci95 is not None:
        html += Markup("<small>{:.2f}\N{EN DASH}{:.2f}</small>").format(*found.ci95)
    return html


def legend(boards: Sequence[BoardView]) -> list[dict[str, str]]:
    """How to read a number: term and explanation."""
    items = [
        (
            "Rank",
            "A model stands before another only if it is clearly better on some axis and clearly worse on none; = is a "
            "tie. There is no sum.",
        ),
        (
            "Which way is good",
            "Below each column's name. On questions to be forgotten the aim is neither 0 nor 1 but the oracle: what a "
            "model gives that never saw them. More than that is over-forgotten. On questions to be kept higher is "
            "better.",
        ),
        (
            "Anchors",
            "Two models without a rank are the ends of each board's scale: 0 is the model before unlearning, 1 the "
            "oracle. A board's own page has every value on that scale.",
        ),
        ("Small figures", "95 % interval, over groups of questions where the data has groups."),
        ("The judge's error", told_error()),
        (
            "\N{EN DASH}, undefined",
            "Not measured, or not measurable: never a zero. A model that has collapsed comes last, whatever it forgot.",
        ),
    ]
    if any(row.entry.result.stress for v in boards for row in v.ranked):
        items.append(("Comes back under stress", _cells.STRESS_HELP))
    if any(v.board.logs for v in boards):
        items.append(
            (
                "Published log",
                "Numbers of answers that others published; they are not kept here, so the row is a reference and no "
                "verified entry.",
            )
        )
    return [{"term": term, "text": text} for term, text in items]
