"""What the plots share: colours, how tokens are shown, heat maps."""

import functools
import logging
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008
BLUE, ORANGE, SKY, GREEN, PURPLE = "#0072B2", "#E69F00", "#56B4E9", "#009E73", "#CC79A7"
GREY, DARK = "#767676", "#222222"
LONGEST_TOKEN = 14
_LONGEST_NAME = 34
_MOST_CELL_TEXTS = 18  # levels; more would overlap
_FONT = "DejaVu Sans"  # comes with matplotlib

log = logging.getLogger(__name__)


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
    # Text of any script stays text; ids do not change from run to run; a $ in a token is not a formula.
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


def short(name: str) -> str:
    """A model's name that fits over a column, cut in the middle: names of models differ at both ends.

    >>> short("nano-full"), short("Llama-3.2-1B-Instruct-tofu-forget10-npo-lr1e-5")
    ('nano-full', 'Llama-3.2-1B-Inst…rget10-npo-lr1e-5')
    """
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def use_fonts(figure: "Figure") -> None:
    """Let installed fonts stand in where the usual one lacks a script; say what none has."""
    from matplotlib.text import Text

    texts, fonts = figure.findobj(Text), _fonts()
    missing = {ord(c) for t in texts for c in t.get_text() if c != "\n"} - _glyphs(fonts.pop(_FONT))
    families = [_FONT]
    for family, path in fonts.items() if missing else ():
        if found := missing & _glyphs(path):
            families.append(family)
            missing -= found
    for text in texts:
        text.set_fontfamily(families)
    if missing:
        log.warning("no installed font has %s: boxes in the PNG; the SVG is text", "".join(map(chr, sorted(missing))))


def _fonts() -> dict[str, str]:
    """Installed upright fonts of normal weight, family to file; not those that hold boxes for everything."""
    from matplotlib.font_manager import fontManager

    found = {e.name: e.fname for e in fontManager.ttflist if (e.style, e.weight) == ("normal", 400)}
    return {name: path for name, path in sorted(found.items()) if not name.startswith("Last Resort")}


@functools.cache
def _glyphs(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())


def heat_map(axis: "Axes", grid: np.ndarray, *, highest: float, logarithmic: bool) -> None:
    """Draw (rows, levels) with a colour bar up to `highest`; the numbers are written into the cells where they fit."""
    from matplotlib.colors import LogNorm, Normalize

    top = max(highest, 10.0 if logarithmic else 1e-6)
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
