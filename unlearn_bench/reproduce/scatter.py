"""A picture of forgetting against retaining, one point a row, the ideal corner at the top right."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from unlearn_bench.errors import UserError

# Okabe and Ito 2008; shape and colour say the same, so that neither is needed
STYLES = {
    "anchor": ("#222222", "s", "before unlearning, trained anew"),
    "relearn": ("#009E73", "*", "relearn"),
    "method": ("#0072B2", "o", "other methods"),
    "ablation": ("#E69F00", "^", "relearn without a part"),
}
_SIZES = {"s": 55, "*": 190, "o": 45, "^": 50}


def draw(table: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write the picture.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise UserError(
            "the picture needs matplotlib, which is not installed",
            hint="pip install 'unlearn-bench[plots]', or pass --no-plot",
        ) from None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "unlearn-bench"})
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8.4, 6.2), layout="constrained")
    points = [entry for entry in table if entry["kfr"]["mean"] is not None and entry["krr"]["mean"] is not None]
    for kind, (colour, marker, label) in STYLES.items():
        mine = [entry for entry in points if _kind(entry) == kind]
        if mine:
            x, y = [e["kfr"]["mean"] for e in mine], [e["krr"]["mean"] for e in mine]
            bars = {"xerr": _bars(mine, "kfr"), "yerr": _bars(mine, "krr")}
            axis.errorbar(x, y, **bars, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.45, zorder=2)
            axis.scatter(x, y, s=_SIZES[marker], c=colour, marker=marker, label=label, zorder=3, edgecolors="white")
    _label(axis, points)
    axis.set(xlim=(-0.04, 1.34), ylim=(-0.07, 1.07), xlabel="KFR: facts forgotten (forget set)")
    axis.set(ylabel="KRR: facts kept (retain set)", title="Forgetting against retaining, mean over seeds")
    axis.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower left", frameon=False)
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, dpi=150, metadata=metadata)
    plt.close(figure)


def _kind(entry: Mapping[str, object]) -> str:
    return "relearn" if entry["row"] == "relearn" else str(entry["group"])


def _bars(entries: Sequence[Mapping[str, object]], key: str) -> list[list[float]]:
    """Lengths below and above the mean; nothing for one seed."""
    low = [e[key]["mean"] - e[key]["ci95"][0] if e[key]["ci95"] else 0.0 for e in entries]
    high = [e[key]["ci95"][1] - e[key]["mean"] if e[key]["ci95"] else 0.0 for e in entries]
    return [low, high]


def _label(axis: object, points: Sequence[Mapping[str, object]]) -> None:
    """Names beside the points: to the right of the crowded right edge in a column with thin lines, else at once."""
    crowded = sorted((e for e in points if e["kfr"]["mean"] > 0.9), key=lambda e: e["krr"]["mean"])
    heights = spread([e["krr"]["mean"] for e in crowded], gap=0.039, low=-0.05, high=1.05)
    for entry, height in zip(crowded, heights, strict=True):
        point = (entry["kfr"]["mean"], entry["krr"]["mean"])
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": 4}
        axis.annotate(entry["row"], point, xytext=(1.06, height), va="center", fontsize=8, arrowprops=line)
    for entry in points:
        if entry["kfr"]["mean"] <= 0.9:
            point = (entry["kfr"]["mean"], entry["krr"]["mean"])
            axis.annotate(entry["row"], point, xytext=(6, -10), textcoords="offset points", fontsize=8)


def spread(heights: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, inside [low, high] as long as there is room.

    >>> [round(h, 2) for h in spread([0.0, 0.0, 1.0], gap=0.1, low=0.0, high=1.0)]
    [0.0, 0.1, 1.0]
    """
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap if placed else low))
    ceiling = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
