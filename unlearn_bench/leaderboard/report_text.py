"""A board as a Markdown table for a README, and as CSV for programs."""

import csv
import io
from typing import TYPE_CHECKING

from unlearn_bench.leaderboard import _cells
from unlearn_bench.leaderboard._seeds import Method, several
from unlearn_bench.leaderboard.board import BoardMetric, metric_of
from unlearn_bench.leaderboard.compare import escape_markdown

if TYPE_CHECKING:
    from unlearn_bench.leaderboard.report import BoardView

READING = (
    "A model stands before another only if it is clearly better on some axis and clearly worse on none; a shared rank "
    "is a tie. Forgetting counts as far as the model still works, and models that have collapsed come last."
)
_PLAIN = "In parentheses: 95 % interval."
_SEEDS = "In parentheses: 95 % interval; where there are several seeds, mean over them (lowest to highest seed)."


def to_markdown(v: "BoardView") -> str:
    """The board as a Markdown table: a row for each method, intervals for what is ranked by."""
    head = ["rank", "model", *(m.label for m in v.board.metrics), "remarks"]
    lines = [_row(head), f"| ---: | --- |{' ---: |' * len(v.board.metrics)} --- |"]
    for method in v.methods:
        cells = [method.rank, method.name + (f", {len(method.rows)} seeds" if len(method.rows) > 1 else "")]
        cells += [_value(method, metric) for metric in v.board.metrics]
        lines.append(_row([*cells, _remarks(method)]))
    reading = f"{READING} {_SEEDS if several(v.methods) else _PLAIN}"
    return "\n".join([f"**{escape_markdown(v.board.title)}**", "", *lines, "", reading, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(escape_markdown, cells))} |"


def _value(method: Method, metric: BoardMetric) -> str:
    if len(method.rows) > 1:
        return spread(method, metric.key) if metric.axis else spread(method, metric.key).partition(" (")[0]
    found = metric_of(method.rows[0].entry.result, metric.key)
    if found is None:
        return ""
    if found.value is None:
        return "undefined"
    low, high = found.ci95 or (None, None)
    return f"{found.value:.3f}" + (f" ({low:.3f} to {high:.3f})" if metric.axis and low is not None else "")


def spread(method: Method, key: str) -> str:
    """Mean over the seeds with the lowest and the highest; nothing where a seed has no value."""
    found = method.spread(key)
    return "" if found is None else f"{found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def _remarks(method: Method) -> str:
    """The remarks of the only row, or each with the number of seeds that it holds for."""
    every = [tag["text"] for row in method.rows for tag in _cells.tags(row)]
    count = len(method.rows)
    return ", ".join(
        text if every.count(text) == count else f"{text} ({every.count(text)} of {count})"
        for text in dict.fromkeys(every)
    )


def to_csv(v: "BoardView") -> str:
    """The board as CSV: value, interval ends, n and normalised value of every metric; a row for each checkpoint.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["rank", "tied", "front", "model", "method", "seed", "anchor", "collapsed", "untouched", "verified"]
    parts = ("", "_low", "_high", "_n", "_normalised")
    keys = [f"{metric.key}{part}" for metric in v.board.metrics for part in parts]
    writer.writerow([*head, "submitted", "weights_sha256", *keys])
    method_of = {row.entry.name: method.name for method in v.methods for row in method.rows}
    for row in v.ranked:
        entry = row.entry
        names = [_no_formula(entry.name), _no_formula(method_of[entry.name])]
        seed = entry.training.seed if entry.training else None
        cells: list[object] = [row.rank, row.tied, row.front, *names, seed, row.anchor, row.collapsed, row.untouched]
        cells += [entry.verification is not None, entry.submitted, entry.result.model.weights_sha256]
        for metric in v.board.metrics:
            found = metric_of(entry.result, metric.key)
            if found is None:
                cells += [None] * len(parts)
            else:
                low, high = found.ci95 or (None, None)
                cells += [found.value, low, high, found.n, v.scales[metric.key].normalise(found.value)]
        writer.writerow(cells)
    return buffer.getvalue()


def _no_formula(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
