"""What a table or plot of the site shows of an entry: cells, tags, a plain sentence, the scatter plot.

A cell is [html, sort key]. The HTML is escaped here, by markupsafe, and nowhere else: the page's script puts it in as
it is.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from unlearn_bench.leaderboard._seeds import Method, several
from unlearn_bench.leaderboard.board import Board, BoardMetric, Entry, metric_of
from unlearn_bench.leaderboard.ranking import Ranked, Scale
from unlearn_bench.schema import MetricValue

Cell = list[object]
_LAST = -1e9  # sorts what is undefined behind everything
_GREY = "#808a9a"  # readable on white and on dark
_PLOT_INTERVALS = 300  # beyond so many points intervals are a fog


def cell(text: str, key: object) -> Cell:
    """A cell of plain text."""
    return [str(escape(text)), key]


def value_cell(found: MetricValue | None, scale: Scale | None) -> Cell:
    """A value with its interval, and its place between the anchors."""
    if found is None:
        return ["", _LAST]
    if found.value is None:
        return [str(Markup("undefined <small>{}</small>").format(reasons(found))), _LAST]
    small = [] if found.ci95 is None else [f"{found.ci95[0]:.3f} to {found.ci95[1]:.3f}"]
    normalised = scale.normalise(found.value) if scale else None
    if normalised is not None:
        small.append(f"norm. {normalised:.2f}")
    html = Markup("{}").format(f"{found.value:.3f}")
    for line in small:
        html += Markup("<small>{}</small>").format(line)
    return [str(html), found.value]


def reasons(found: MetricValue) -> str:
    """Why samples were not scored."""
    return ", ".join(f"{reason} {count}" for reason, count in found.unscored_reasons.items())


def tags(row: Ranked) -> list[dict[str, str]]:
    """What a reader must know at once: anchors, collapse, over-unlearning, verification."""
    found = []
    if row.anchor:
        meaning = {"original": "before unlearning (0)", "oracle": "never trained on it (1)"}[row.anchor]
        found.append({"text": meaning, "style": "soft", "word": "anchor"})
    if row.lacking and row.anchor is None:
        found.append({"text": "incomplete", "style": "warn", "word": "incomplete"})
    if row.collapsed and row.anchor is None:
        found.append({"text": "collapsed", "style": "bad", "word": "collapsed"})
    if row.untouched:
        found.append({"text": "nothing forgotten", "style": "warn", "word": "untouched"})
    if any(score.over for score in row.axes.values()) and row.anchor is None:
        found.append({"text": "over-unlearned", "style": "warn", "word": "over"})
    found.append(verified(row.entry))
    return found


def verified(entry: Entry) -> dict[str, str]:
    """How far an entry's numbers were found again."""
    if entry.verification is None:
        return {"text": "not verified", "style": "warn", "word": "unverified"}
    if entry.verification.level == "records":
        return {"text": "not rescored", "style": "soft", "word": "records"}
    return {"text": "verified", "style": "good", "word": "verified"}


def tag_words(row: Ranked) -> str:
    """The words that the page's filter looks for, each between spaces."""
    words = [tag["word"] for tag in tags(row)]
    if row.front is not None:
        words.append(f"front-{row.front}")
    if row.anchor is None and not row.collapsed:
        words.append("working")
    return f" {' '.join(words)} "


def tag_html(row: Ranked) -> str:
    """The tags as HTML."""
    spans = [Markup('<span class="tag {}">{}</span>').format(tag["style"], tag["text"]) for tag in tags(row)]
    return str(Markup(" ").join(spans))


def sentence(row: Ranked) -> str:
    """The entry in plain words, for somebody who does not know the metrics."""
    parts = []
    forgetting = row.axes.get("forgetting")
    if forgetting is not None and forgetting.normalised is not None:
        done = forgetting.normalised
        parts.append(f"it went {done:.0%} of the way from the original model to one that never saw the forget set")
    for axis in ("retention", "fluency"):
        if axis in row.axes:
            kept = row.axes[axis].value
            parts.append(f"kept {kept:.0%} of its {'other knowledge' if axis == 'retention' else 'fluency'}")
    if not parts:
        return ""
    text = ", ".join(parts)
    end = " It has collapsed: what it forgot is worth nothing." if row.collapsed and row.anchor is None else ""
    return f"{text[0].upper()}{text[1:]}.{end}"


def board_rows(board: Board, ranked: Sequence[Ranked], scales: dict[str, Scale], urls: dict[str, str]) -> dict:
    """Columns and rows of a board's table."""
    columns = [
        {"title": "Rank", "className": "num", "type": "num", "first": "asc"},
        {"title": "Model", "className": "name", "type": "string", "first": "asc"},
    ]
    columns += _metric_columns(board)
    columns += [
        {"title": "Submitted", "className": "num", "type": "string", "first": "desc"},
        {"title": "tags", "visible": False, "type": "string"},
    ]
    rows = []
    for position, row in enumerate(ranked):
        name = row.entry.name
        link = Markup('<a href="{}">{}</a>').format(urls[name], name)
        # Remarks stand under the name: at the end of a wide table nobody sees that a model has collapsed.
        cells: list[Cell] = [cell(row.label, position), [f"{link}<br>{tag_html(row)}", name.casefold()]]
        cells += [value_cell(metric_of(row.entry.result, m.key), scales[m.key]) for m in board.metrics]
        cells.append(cell(row.entry.submitted[:10], row.entry.submitted))
        rows.append([*cells, cell(tag_words(row), tag_words(row))])
    return {"columns": columns, "rows": rows, "order": [[0, "asc"]]}


def method_rows(board: Board, found: Sequence[Method]) -> dict | None:
    """Columns and rows of the methods of which there are several seeds; None if there are none."""
    columns = [
        {"title": "Method", "className": "name", "type": "string", "first": "asc"},
        {"title": "Seeds", "className": "num", "type": "num", "first": "desc"},
        {"title": "Ranks", "className": "num", "type": "num", "first": "asc"},
        *_metric_columns(board),
    ]
    rows = []
    for place, method in enumerate(several(found)):
        cells = [cell(method.name, method.name.casefold()), cell(str(len(method.rows)), len(method.rows))]
        cells.append(cell(method.rank, place))
        for metric in board.metrics:
            spread = method.spread(metric.key)
            html = "" if spread is None else Markup("{:.3f}<small>{:.3f} to {:.3f}</small>").format(*spread)
            cells.append([str(html), _LAST if spread is None else spread[0]])
        rows.append(cells)
    return {"columns": columns, "rows": rows, "order": [[2, "asc"]]} if rows else None


def _metric_columns(board: Board) -> list[dict[str, object]]:
    return [{"title": m.label + ("" if m.higher_is_better else " (lower is better)"), "className": "num",
             "type": "num", "first": "desc" if m.higher_is_better else "asc"} for m in board.metrics]  # fmt: skip


def scatter(board: Board, ranked: Sequence[Ranked], urls: dict[str, str]) -> dict | None:
    """Retention against forgetting, coloured by fluency; only anchors are named, as names of like models overlap."""
    axes = board.axis_metrics()
    if "forgetting" not in axes or "retention" not in axes:
        return None
    groups = (
        ("anchors", [r for r in ranked if r.anchor], "star", 16),
        ("first front", [r for r in ranked if r.front == 1], "diamond", 14),
        ("behind it", [r for r in ranked if not r.anchor and r.front != 1], "circle", 9),
    )
    few = len(ranked) <= _PLOT_INTERVALS
    data = [
        _trace(name, rows, symbol, size, axes, urls, intervals=few)
        for name, rows, symbol, size in groups
        if any(_drawn(r, axes) for r in rows)
    ]
    if not data:
        return None
    layout = {
        "xaxis": {"title": {"text": f"retention: {axes['retention'].label}"}, "range": [-0.03, 1.05]},
        "yaxis": {"title": {"text": f"forgetting: {axes['forgetting'].label}"}, "range": [-0.03, 1.12]},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 10, "t": 60, "b": 60},
        "hovermode": "closest",
        "coloraxis": {
            "colorscale": "Cividis",
            "cmin": 0,
            "cmax": 1,
            "colorbar": {"title": {"text": "fluency"}, "thickness": 12},
        },
    }
    return {"data": data, "layout": layout}


def _drawn(row: Ranked, axes: dict[str, BoardMetric]) -> bool:
    return all((m := metric_of(row.entry.result, axes[a].key)) is not None and m.value is not None
               for a in ("forgetting", "retention"))  # fmt: skip


def _trace(
    name: str,
    rows: Sequence[Ranked],
    symbol: str,
    size: int,
    axes: dict[str, BoardMetric],
    urls: dict[str, str],
    *,
    intervals: bool,
) -> dict:
    rows = [row for row in rows if _drawn(row, axes)]
    x, y = ([metric_of(r.entry.result, axes[a].key) for r in rows] for a in ("retention", "forgetting"))
    fluency = [row.axes["fluency"].raw if "fluency" in row.axes else None for row in rows]
    trace = {
        "type": "scatter",
        "mode": "markers+text" if name == "anchors" else "markers",
        "name": name,
        "x": [m.value for m in x],
        "y": [m.value for m in y],
        "text": [_plot_text(row.entry.name) for row in rows],
        "textposition": "top left",
        "customdata": [[urls[row.entry.name]] for row in rows],
        "hovertemplate": "%{text}<br>retention %{x:.3f}<br>forgetting %{y:.3f}<extra></extra>",
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": fluency,
            "coloraxis": "coloraxis",
            "line": {"width": 1.5, "color": _GREY},
        },
    }
    if intervals:
        trace["error_x"], trace["error_y"] = _bars(x), _bars(y)
    return trace


def _plot_text(name: str) -> str:
    """Plotly reads some HTML in labels; there must be none."""
    short = name if len(name) <= 28 else f"{name[:27]}…"
    return str(escape(short))


def _bars(values: Sequence[MetricValue]) -> dict:
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if m.ci95 is None else max(0.0, m.ci95[1] - m.value) for m in values],
        "arrayminus": [0 if m.ci95 is None else max(0.0, m.value - m.ci95[0]) for m in values],
        "thickness": 1,
        "width": 3,
        "color": _GREY,
    }
