"""Boards and results as Markdown for a README, as LaTeX for a paper, and as CSV for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearn_bench.boards.board import BoardMetric
from unlearn_bench.result_table import correction_lines
from unlearn_bench.results import metric_of
from unlearn_bench.schema import CorrectedValue, MetricValue, Result
from unlearn_bench.site import _cells, _text_tables
from unlearn_bench.site._seeds import Method, several

if TYPE_CHECKING:
    from unlearn_bench.site.views import BoardView, Inputs

READING = (
    "A model stands before another only if it is clearly better on some axis and clearly worse on none; a shared rank "
    "is a tie. Forgetting counts as far as the model still works, and models that have collapsed come last."
)
_EVIDENCE = frozenset({"coverage", "nli_contradiction", "empty"})  # in result.json, and in the CSV
_PLAIN = "In parentheses: 95 % interval."
_SEEDS = "In parentheses: 95 % interval; where there are several seeds, mean over them (lowest to highest seed)."


def write(inputs: "Inputs", form: str) -> str:
    """Everything that a report is made of, as text: a table for each board, and one of all results.

    Args:
        inputs: Boards and results.
        form: "md", "csv" or "latex".
    """
    of_board, of_results = {
        "md": (to_markdown, results_to_markdown),
        "csv": (to_csv, results_to_csv),
        "latex": (to_latex, results_to_latex),
    }[form]
    results = [(loose.name, loose.result) for loose in inputs.loose]
    return "\n".join([*map(of_board, inputs.boards), *([of_results(results)] if results else [])])


def to_markdown(v: "BoardView") -> str:
    """The board as a Markdown table: a row for each method, intervals for what is ranked by."""
    return _text_tables.markdown_table(v.board.title, *_board_table(v))


def to_latex(v: "BoardView") -> str:
    """The board as a LaTeX table (package booktabs), the rows and figures of the Markdown one."""
    return _text_tables.latex_table(v.board.title, *_board_table(v))


def _board_table(v: "BoardView") -> tuple[list[str], list[list[str]], str, str]:
    """Head, rows, the note below, and the side to which each column is set."""
    head = ["rank", "model", *(m.label for m in v.board.metrics), "remarks"]
    rows = []
    for method in v.methods:
        name = method.name + (f", {len(method.rows)} seeds" if len(method.rows) > 1 else "")
        rows.append([method.rank, name, *(_value(method, metric) for metric in v.board.metrics), _remarks(method)])
    return head, rows, f"{READING} {_SEEDS if several(v.methods) else _PLAIN}", f"rl{'r' * len(v.board.metrics)}l"


def _value(method: Method, metric: BoardMetric) -> str:
    if len(method.rows) > 1:
        return spread(method, metric.key) if metric.axis else spread(method, metric.key).partition(" (")[0]
    return _figure(metric_of(method.rows[0].entry.result, metric.key), interval=metric.axis is not None)


def _figure(found: MetricValue | CorrectedValue | None, *, interval: bool) -> str:
    if found is None:
        return ""
    if found.value is None:
        return "undefined"
    shown = _text_tables.number(found.value)
    if not interval or found.ci95 is None:
        return shown
    return f"{shown} ({' to '.join(map(_text_tables.number, found.ci95))})"


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
    head = ["rank", "tied", "front", "model", "method", "seed", "anchor", "collapsed", "untouched", "incomplete"]
    parts = ("", "_low", "_high", "_n", "_normalised")
    keys = [f"{metric.key}{part}" for metric in v.board.metrics for part in parts]
    method_of = {row.entry.name: method.name for method in v.methods for row in method.rows}
    rows = []
    for row in v.ranked:
        entry = row.entry
        seed = entry.training.seed if entry.training else None
        cells: list[object] = [row.rank, row.tied, row.front, entry.name, method_of[entry.name], seed, row.anchor]
        cells += [row.collapsed, row.untouched, bool(row.lacking), _cells.verified(row)["text"], entry.submitted]
        cells += [entry.paper, entry.code, entry.result.model.weights_sha256]
        for metric in v.board.metrics:
            found = metric_of(entry.result, metric.key)
            if found is None:
                cells += [None] * len(parts)
            else:
                low, high = found.ci95 or (None, None)
                cells += [found.value, low, high, found.n, v.scales[metric.key].normalise(found.value)]
        rows.append(cells)
    return _text_tables.csv_table([*head, "verified", "submitted", "paper", "code", "weights_sha256", *keys], rows)


def results_to_csv(results: Sequence[tuple[str, Result]]) -> str:
    """Results as CSV: a row for each metric of each result."""
    head = ["model", "task", "metric", "value", "low", "high", "n", "unscored", "higher_is_better"]
    head += ["corrected", "corrected_low", "corrected_high", "labels", "labels_sha256"]
    rows = [
        [name, task, metric, m.value, *(m.ci95 or (None, None)), m.n, m.unscored, m.higher_is_better, *_corrected(m)]
        for name, result in results
        for task, metrics in _metrics(result).items()
        for metric, m in metrics.items()
    ]
    return _text_tables.csv_table(head, rows)


def _corrected(metric: MetricValue) -> list[object]:
    found = metric.corrected
    return [None] * 5 if found is None else [found.value, *found.ci95, found.labels, found.labels_sha256]


def results_to_markdown(results: Sequence[tuple[str, Result]]) -> str:
    """Results side by side as a Markdown table: a row for each metric, a column for each result."""
    return _text_tables.markdown_table(None, *_results_table(results))


def results_to_latex(results: Sequence[tuple[str, Result]]) -> str:
    """Results side by side as a LaTeX table (package booktabs)."""
    return _text_tables.latex_table(None, *_results_table(results))


def _results_table(results: Sequence[tuple[str, Result]]) -> tuple[list[str], list[list[str]], str, str]:
    every = [_metrics(result) for _, result in results]
    keys = dict.fromkeys((task, metric) for one in every for task, found in one.items() for metric in found)
    rows = []
    for task, metric in keys:
        if metric not in _EVIDENCE:
            values = [one.get(task, {}).get(metric) for one in every]
            rows.append([task, metric, *(_figure(value, interval=True) for value in values)])
            corrected = [value.corrected if value else None for value in values]
            if any(corrected):
                rows.append([task, f"{metric}, corrected", *(_figure(value, interval=True) for value in corrected)])
    bases = [f"{name}: {line}." for name, result in results for line in correction_lines(result)]
    note = " ".join([_PLAIN, *_limits(results), *bases])
    return ["task", "metric", *(name for name, _ in results)], rows, note, f"ll{'r' * len(results)}"


def _limits(results: Sequence[tuple[str, Result]]) -> list[str]:
    """Which results asked only some of the questions (`--limit`)."""
    given = [(name, result.run.get("limit")) for name, result in results]
    return [f"{name} was asked only some questions (--limit {limit})." for name, limit in given if limit is not None]


def _metrics(result: Result) -> dict[str, dict[str, MetricValue]]:
    found = {name: dict(task.metrics) for name, task in result.tasks.items()}
    for task, values in result.other.items():
        stock = {key: MetricValue(value=value, n=result.other_n.get(task, 0)) for key, value in values.items()}
        found.setdefault(task, {}).update({key: value for key, value in stock.items() if "stderr" not in key})
    return found
