"""Pictures of a stress report, each as SVG and PNG.

stress      a line for each stress, from before (open) to after (filled); oracle and original stand below the model
relearning  recovery over steps of training, a curve for each number of rows trained on, with the oracle; where there
            are two points
leaks       leak@k over k, and what no leak in all draws still allows; where answers were drawn
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.diagnostics.plot_style import BLUE, DARK, GREY, ORANGE, load_matplotlib, use_fonts
from unlearn_bench.schema import StressInfo, StressRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RELEARNED = re.compile(r"relearning/forget(\d+)_s(\d+)")
_STYLES = (("s", ":"), ("o", "-"), ("^", "--"))  # of the curves, by rows trained on
_WHO = (("model", ORANGE, 0.0), ("oracle", GREY, 0.22), ("original", BLUE, 0.44))


def write_plots(info: StressInfo, folder: Path) -> list[Path]:
    """Draw what there is.

    Returns:
        The files written.
    """
    rows = [row for row in info.rows if row.verdict is not None]
    if not rows:
        return []
    metric = rows[0].metric
    chosen = [row for row in rows if (row.metric, row.task) == (metric, rows[0].task)]
    figures = [("stress", _panel(chosen))]
    figures += [("relearning", figure) for figure in _steps(chosen)]
    figures += [("leaks", figure) for figure in _leaks(chosen, info)]
    written = []
    for name, figure in figures:
        use_fonts(figure)
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            figure.savefig(path, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
            written.append(path)
    return written


def _panel(rows: Sequence[StressRow]) -> "Figure":
    plt = load_matplotlib()
    figure, axis = plt.subplots(figsize=(8, 1.2 + 0.4 * len(rows)), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        for who, colour, lower in _WHO:
            found = getattr(row, who)
            if found is None:
                continue
            height = place - lower
            axis.plot([found.before, found.after], [height, height], color=colour, linewidth=2)
            axis.plot(found.before, height, "o", color=colour, markerfacecolor="white", markersize=6)
            axis.plot(found.after, height, "o", color=colour, markersize=6, label=who if place == 0 else None)
        axis.text(1.03, place - 0.22, row.verdict, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    axis.set_yticks([k - 0.22 for k in range(len(rows))], [row.stress for row in reversed(rows)])
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(-0.9, len(rows) - 0.5)
    better = "higher" if rows[0].higher_is_better else "lower"
    axis.set_xlabel(f"{rows[0].metric} of {rows[0].task} ({better} is better), from before (open) to after (filled)")
    _tidy(axis)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _steps(rows: Sequence[StressRow]) -> "Iterator[Figure]":
    curves: dict[int, list[tuple[int, StressRow]]] = {}
    for row in rows:
        if found := _RELEARNED.fullmatch(row.stress):
            curves.setdefault(int(found[1]), []).append((int(found[2]), row))
    curves = {count: sorted(points, key=lambda point: point[0]) for count, points in sorted(curves.items())}
    curves = {count: points for count, points in curves.items() if len(points) > 1}
    if not curves:
        return
    plt = load_matplotlib()
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for place, (count, points) in enumerate(curves.items()):
        style = dict(zip(("marker", "linestyle"), _STYLES[place % len(_STYLES)], strict=True))
        shift = 2 ** (0.12 * (place - (len(curves) - 1) / 2))  # intervals stand side by side
        for who, colour, _ in _WHO[:2]:
            found = [(n * shift, getattr(getattr(row, who), "recovery", None)) for n, row in points]
            drawn = [(0, 0.0), *((n, value) for n, value in found if value is not None)]
            axis.plot(*zip(*drawn, strict=True), color=colour, label=f"{who}, {count} rows", markersize=5, **style)
        for n, row in points:
            if row.ci95 is not None and row.oracle is not None and row.oracle.recovery is not None:
                low, high = (row.oracle.recovery + end for end in row.ci95)
                axis.plot([n * shift, n * shift], [low, high], color=ORANGE, linewidth=1)
    steps = sorted({n for points in curves.values() for n, _ in points})
    axis.set_xscale("symlog", base=2, linthresh=1)
    axis.set_xticks([0, *steps], ["0", *map(str, steps)])
    axis.axhline(0.5, color=DARK, linewidth=0.6, linestyle=":")
    axis.set_xlabel("steps of training on some forget rows")
    axis.set_ylabel(f"recovery of the other forget rows ({rows[0].metric})")
    _tidy(axis)
    axis.legend(frameon=False, fontsize=8)
    yield figure


def _leaks(rows: Sequence[StressRow], info: StressInfo) -> "Iterator[Figure]":
    variants = dict.fromkeys(row.stress.partition("@")[0] for row in rows if row.stress.startswith("sampling/"))
    for variant in list(variants)[:1]:
        plt = load_matplotlib()
        figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
        own = sorted((_number(row.stress, "@"), row) for row in rows if row.stress.startswith(f"{variant}@"))
        for who, colour, _ in _WHO:
            points = [(k, _knowledge(row, who)) for k, row in own if getattr(row, who) is not None]
            if points:
                axis.plot(*zip(*points, strict=True), "o-", color=colour, label=who)
        bound = info.facts.get(variant, {}).get(f"{rows[0].metric}/zero_leaks_allow")
        if bound is not None:
            axis.axhline(bound, color=DARK, linewidth=0.8, linestyle="--", label="no leak in all draws still allows")
        axis.set_xscale("log", base=2)
        axis.set_xticks([k for k, _ in own], [str(k) for k, _ in own])
        axis.set_ylim(-0.03, 1.03)
        axis.set_xlabel(f"k answers ({variant})")
        axis.set_ylabel(f"leak@k ({rows[0].metric})")
        _tidy(axis)
        axis.legend(frameon=False)
        yield figure


def _number(name: str, mark: str) -> int:
    return int(name.rpartition(mark)[2])


def _knowledge(row: StressRow, who: str) -> float:
    value: float = getattr(row, who).after
    return 1 - value if row.higher_is_better else value


def _tidy(axis: "Axes") -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
