"""The board's plot: forgetting against retention, coloured by fluency, points named as far as names do not overlap."""

from collections.abc import Sequence

from markupsafe import escape

from unlearn_bench.boards.board import Board, BoardMetric
from unlearn_bench.boards.ranking import Ranked
from unlearn_bench.results import metric_of
from unlearn_bench.schema import MetricValue

_GREY = "#808a9a"  # readable on white and on dark
_PLOT_INTERVALS = 300  # no error bars above this many points
_RANGE = {"x": (-0.03, 1.12), "y": (-0.03, 1.12)}
_SIZE = (1000, 380)  # of the plot's inside on a desktop, in pixels: where names are placed
_LETTER = (6.6, 14)  # width and height of a letter
_LONGEST = 28
_PLACES = ("top right", "bottom right", "top left", "bottom left", "top center", "bottom center", "middle right")
Box = tuple[float, float, float, float]


def scatter(board: Board, ranked: Sequence[Ranked], urls: dict[str, str]) -> dict | None:
    """Data and layout for Plotly; None where the board has no such axes, or no entry has both values.

    Names are placed one after the other, anchors and the first front first; one that would lie on another, or on a
    point, is left out. Every name shows when the pointer is on its point, and is in the list below the plot.
    """
    axes = board.axis_metrics()
    if "forgetting" not in axes or "retention" not in axes:
        return None
    drawn = [row for row in ranked if _drawn(row, axes)]
    if not drawn:
        return None
    groups = (
        ("anchors", [r for r in drawn if r.anchor], "star", 16),
        ("first front", [r for r in drawn if r.front == 1], "diamond", 14),
        ("behind it", [r for r in drawn if not r.anchor and r.front != 1], "circle", 9),
    )
    places = _place([(row.entry.name, *_point(row, axes)) for _, rows, *_ in groups for row in rows])
    few = len(ranked) <= _PLOT_INTERVALS
    data = [
        _trace(name, rows, symbol, size, axes, urls, places, intervals=few)
        for name, rows, symbol, size in groups
        if rows
    ]
    layout = {
        "xaxis": {"title": {"text": _title("forgetting", axes)}, "range": list(_RANGE["x"])},
        "yaxis": {"title": {"text": _title("retention", axes)}, "range": list(_RANGE["y"])},
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


def _title(axis: str, axes: dict[str, BoardMetric]) -> str:
    return str(escape(f"{axis}: {axes[axis].label}"))


def _drawn(row: Ranked, axes: dict[str, BoardMetric]) -> bool:
    return all((m := metric_of(row.entry.result, axes[a].key)) is not None and m.value is not None
               for a in ("forgetting", "retention"))  # fmt: skip


def _point(row: Ranked, axes: dict[str, BoardMetric]) -> tuple[float, float]:
    x, y = (metric_of(row.entry.result, axes[axis].key).value for axis in ("forgetting", "retention"))
    return x, y


def _place(points: Sequence[tuple[str, float, float]]) -> dict[str, str]:
    """Name to its side of the point, for the names that find a free one."""
    at = {name: (_pixel(x, "x"), _pixel(y, "y")) for name, x, y in points}
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in at.values()]
    found = {}
    for name, (x, y) in at.items():
        own = (x - 7, y - 7, x + 7, y + 7)
        for place in _PLACES:
            box = _box(short(name), x, y, place)
            inside = box[0] >= 0 and box[2] <= _SIZE[0] and box[1] >= 0 and box[3] <= _SIZE[1]
            if inside and not any(_overlap(box, other) for other in taken if other != own):
                found[name] = place
                taken.append(box)
                break
    return found


def _pixel(value: float, axis: str) -> float:
    low, high = _RANGE[axis]
    share = (value - low) / (high - low)
    return share * _SIZE[0] if axis == "x" else (1 - share) * _SIZE[1]


def _box(text: str, x: float, y: float, place: str) -> Box:
    width, height = len(text) * _LETTER[0], _LETTER[1]
    down, side = place.split()
    left = {"right": x + 8, "left": x - 8 - width, "center": x - width / 2}[side]
    top = {"top": y - 8 - height, "bottom": y + 8, "middle": y - height / 2}[down]
    return left, top, left + width, top + height


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def short(name: str) -> str:
    """A name as a plot shows it."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _trace(
    name: str,
    rows: Sequence[Ranked],
    symbol: str,
    size: int,
    axes: dict[str, BoardMetric],
    urls: dict[str, str],
    places: dict[str, str],
    *,
    intervals: bool,
) -> dict:
    x, y = ([metric_of(r.entry.result, axes[a].key) for r in rows] for a in ("forgetting", "retention"))
    fluency = [row.axes["fluency"].raw if "fluency" in row.axes else None for row in rows]
    names = [row.entry.name for row in rows]
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [m.value for m in x],
        "y": [m.value for m in y],
        # Plotly reads some HTML in texts; there must be none.
        "text": [str(escape(short(n))) if n in places else "" for n in names],
        "textposition": [places.get(n, _PLACES[0]) for n in names],
        "hovertext": [str(escape(n)) for n in names],
        "customdata": [[urls[n]] for n in names],
        "hovertemplate": "%{hovertext}<br>forgetting %{x:.3f}<br>retention %{y:.3f}<extra></extra>",
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
