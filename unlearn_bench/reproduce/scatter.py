"""A picture of forgetting against retaining, one point a row, the ideal at the top right; colour: do the answers speak.

Most methods can be made to forget and to keep; they then differ in what they say in place of what they
forgot. The crowded corner is drawn again next to the whole.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.diagnostics.plot_style import load_matplotlib
from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = {
    "anchor": ("s", 60, "before unlearning, retrained"),
    "relearn": ("*", 260, "relearn"),
    "method": ("o", 60, "other methods"),
    "ablation": ("^", 55, "relearn without a part"),
    "strong": ("D", 45, "at a higher learning rate"),
}
CORNER = (0.75, 0.84)  # KFR, KRR from which on a point is in the corner
_COLOURS = "cividis"  # the same to colour-blind readers, and readable in grey


def draw(table: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write the picture; PNG or SVG by the file's ending.

    Args:
        table: As `table.build` makes it; rows without KFR or KRR are left out.
        path: The file.

    Raises:
        UserError: if matplotlib or adjustText is not installed.
    """
    plt = load_matplotlib()
    points = [entry for entry in table if _mean(entry, "kfr") is not None and _mean(entry, "krr") is not None]
    figure, axes = plt.subplots(1, 2, figsize=(13.5, 6.2), layout="constrained")
    for axis, inside in zip(axes, (False, True), strict=True):
        shown = _points(axis, points)
        axis.set(xlabel="KFR: facts forgotten (forget set)", ylabel="KRR: facts kept (retain set)")
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        _limits(axis, corner=inside)
        named = [entry for entry in points if _kind(entry) != "ablation"]  # those lie on relearn; the table names them
        _label(axis, [entry for entry in named if _in_corner(entry) == inside])
    axes[0].set_title("All rows, mean over seeds")
    axes[1].set_title("The corner at the top right")
    width, height = 1.03 - CORNER[0], 1.03 - CORNER[1]
    axes[0].add_patch(plt.Rectangle(CORNER, width, height, fill=False, edgecolor="#767676", linestyle=":"))
    axes[0].legend(loc="lower left", frameon=False)
    if shown is not None:
        figure.colorbar(shown, ax=axes, label="fluency of the answers to forget questions", shrink=0.8)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {})
    plt.close(figure)


def _mean(entry: Mapping[str, object], key: str) -> float | None:
    return entry[key]["mean"]


def _kind(entry: Mapping[str, object]) -> str:
    return "relearn" if entry["row"] == "relearn" else str(entry["group"])


def _in_corner(entry: Mapping[str, object]) -> bool:
    return _mean(entry, "kfr") >= CORNER[0] and _mean(entry, "krr") >= CORNER[1]


def _limits(axis: "Axes", *, corner: bool) -> None:
    if corner:
        axis.set(xlim=(CORNER[0], 1.03), ylim=(CORNER[1], 1.03))
        axis.set(xticks=[0.75, 0.8, 0.85, 0.9, 0.95, 1.0], yticks=[0.85, 0.9, 0.95, 1.0])
    else:
        axis.set(xlim=(-0.04, 1.06), ylim=(-0.04, 1.06))


def _points(axis: "Axes", points: Sequence[Mapping[str, object]]) -> object:
    """Draw all points with their intervals over seeds; returns what a colour bar needs."""
    shown = None
    for kind, (marker, size, label) in MARKERS.items():
        mine = [entry for entry in points if _kind(entry) == kind]
        if not mine:
            continue
        x, y = [_mean(e, "kfr") for e in mine], [_mean(e, "krr") for e in mine]
        bars = {"xerr": _bars(mine, "kfr"), "yerr": _bars(mine, "krr")}
        axis.errorbar(x, y, **bars, fmt="none", ecolor="#767676", elinewidth=0.7, alpha=0.4, zorder=2)
        fluency = [_mean(e, "fluency_forget") or 0.0 for e in mine]
        style = {"cmap": _COLOURS, "vmin": 0, "vmax": 1, "edgecolors": "#222222", "linewidths": 0.6, "zorder": 3}
        shown = axis.scatter(x, y, s=size, c=fluency, marker=marker, label=label, **style)
    return shown


def _bars(entries: Sequence[Mapping[str, object]], key: str) -> list[list[float]]:
    """Lengths below and above the mean; nothing for one seed."""
    low = [e[key]["mean"] - e[key]["ci95"][0] if e[key]["ci95"] else 0.0 for e in entries]
    high = [e[key]["ci95"][1] - e[key]["mean"] if e[key]["ci95"] else 0.0 for e in entries]
    return [low, high]


def _label(axis: "Axes", entries: Sequence[Mapping[str, object]]) -> None:
    """Names next to their points, moved apart where they would overlap."""
    import numpy as np

    try:
        from adjustText import adjust_text
    except ModuleNotFoundError:
        raise UserError(
            "the picture needs adjustText, which is not installed",
            hint="pip install 'unlearn-bench[plots]', or pass --no-plots",
        ) from None
    x, y = [_mean(e, "kfr") for e in entries], [_mean(e, "krr") for e in entries]
    texts = [axis.text(a, b, str(e["row"]), fontsize=8, zorder=4) for a, b, e in zip(x, y, entries, strict=True)]
    np.random.seed(0)  # adjustText draws from numpy's global generator: the same picture every time
    line = {"arrowstyle": "-", "color": "#767676", "linewidth": 0.5}
    adjust_text(texts, x, y, ax=axis, arrowprops=line, expand=(1.25, 1.9), force_text=(0.4, 0.8))
