"""What the plots share: colours, how tokens are shown, heat maps."""

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008
BLUE, ORANGE, SKY, GREEN, PURPLE = "#0072B2", "#E69F00", "#56B4E9", "#009E73", "#CC79A7"
GREY, DARK = "#767676", "#222222"
LONGEST_TOKEN = 14
_MOST_CELL_TEXTS = 18  # levels; more would overlap


def load_matplotlib() -> ModuleType:
    """pyplot, drawing to files only.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise UserError(
            "plots need matplotlib, which is not installed",
            hint="pip install 'unlearn-bench[plots]', or pass --no-plots",
        ) from None
    matplotlib.use("Agg")
    # Text of any script stays text; ids do not change from run to run; a $ in a token is no formula.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "unlearn-bench", "text.parse_math": False})
    import matplotlib.pyplot as plt

    plt.close("all")
    return plt


def visible(token: str) -> str:
    r"""A token as it can be read: white space shown, long ones cut.

    >>> visible(" Ada"), visible("\n"), visible("")
    ('Ada', '\\n', '(empty)')
    """
    text = token.strip(" ") or (f"({len(token)} spaces)" if len(token) > 1 else "(space)" if token else "(empty)")
    text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= LONGEST_TOKEN else text[: LONGEST_TOKEN - 1] + "…"


def heat_map(axis: "Axes", grid: np.ndarray, *, logarithmic: bool) -> None:
    """Draw (rows, levels) with a colour bar; the numbers are written into the cells where they fit."""
    from matplotlib.colors import LogNorm, Normalize

    filled = grid[np.isfinite(grid)]
    top = max(filled.max(initial=0.0), 10.0 if logarithmic else 1e-6)
    norm = LogNorm(1, top) if logarithmic else Normalize(0, top)
    # Low is good to see: rank 1 and KL 0 are the dark ends.
    image = axis.imshow(grid, aspect="auto", cmap="cividis", norm=norm)
    levels = grid.shape[1]
    step = max(1, levels // 16)
    ticks = list(range(0, levels, step))
    axis.set_xticks(ticks, ["emb" if t == 0 else str(t) for t in ticks], fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.035, pad=0.015)
    if logarithmic:
        bar.set_ticks([10.0**power for power in range(int(np.log10(top)) + 1)])
        bar.formatter = "{x:g}"
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    if levels > _MOST_CELL_TEXTS:
        return
    for (row, level), value in np.ndenumerate(grid):
        if np.isfinite(value):
            colour = "white" if norm(value) < 0.55 else "black"
            axis.text(level, row, _short(value), ha="center", va="center", fontsize=7, color=colour)


def _short(value: float) -> str:
    """Three characters where possible."""
    if value >= 1000:
        return f"{value / 1000:.2g}k"
    return f"{value:.1f}" if value < 10 and value != round(value) else f"{value:.0f}"
