"""The circuit diagram: the strongest edges that lead to one prompt's answer position."""

from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.diagnostics import circuits
from unlearn_bench.diagnostics._plot_style import BLUE, DARK, GREEN, GREY, ORANGE, load_matplotlib, visible
from unlearn_bench.diagnostics._records import Record
from unlearn_bench.diagnostics._schema import Diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDEST = 6.0  # points of an edge of weight 0.5 and more
_THINNEST = 0.7
_MOST_EDGES = 90
_DRAWN = (circuits.EXAMPLE_THRESHOLD, 0.015, 0.02, 0.03)


def draw_circuit(record: Record, document: Diagnostics) -> "Figure":
    """Tokens from left to right, layers from bottom to top; the model before unlearning above the judged one."""
    plt = load_matplotlib()
    graphs = [(document.model, record.circuit)]
    if record.reference_circuit is not None:
        graphs.insert(0, (f"{document.reference} (before unlearning)", record.reference_circuit))
    tokens, layers = record.prompt.entity[0], len(record.circuit.heads)
    threshold = _lowest_readable([circuit for _, circuit in graphs], tokens - 1, layers)
    size = (max(6.0, 0.36 * tokens + 1.6), (0.42 * layers + 2.3) * len(graphs) + 0.4)
    figure, axes = plt.subplots(len(graphs), 1, figsize=size, squeeze=False)
    for axis, (name, circuit) in zip(axes[:, 0], graphs, strict=True):
        edges = circuits.follow(circuit.edges, tokens - 1, layers, threshold)
        _draw(axis, edges, record, layers)
        axis.set_title(f"{name}: {len(edges)} edges above {threshold}", fontsize=10, loc="left", color=DARK)
    _legend(figure)
    target = visible(record.prompt.pieces[tokens])
    title = f'what flows to the position that predicts "{target}"\nbold: the subject; width: contribution'
    figure.suptitle(title, fontsize=9, color=DARK)
    figure.tight_layout(rect=(0, 0.045, 1, 0.985))
    return figure


def _lowest_readable(graphs: list[circuits.Circuit], answer: int, layers: int) -> float:
    """The lowest threshold at which no graph has too many edges to be read."""
    for threshold in sorted({*circuits.THRESHOLDS, *_DRAWN}):
        if max(len(circuits.follow(g.edges, answer, layers, threshold)) for g in graphs) <= _MOST_EDGES:
            return threshold
    return max(circuits.THRESHOLDS)


def _draw(axis: "Axes", edges: np.ndarray, record: Record, layers: int) -> None:
    prompt, answer = record.prompt, record.prompt.entity[0] - 1
    # The stream first, attention over it, MLP marks on top.
    for edge in sorted(edges, key=lambda e: e["kind"] == circuits.ATTENTION):
        _draw_edge(axis, edge)
    nodes = {(e["source"], e["below"]) for e in edges} | {(e["target"], e["above"]) for e in edges}
    for token, level in nodes:
        axis.plot(token, level / 2, "o", color=DARK, markersize=2.5, zorder=3)
    axis.plot(answer, layers, "*", color=GREEN, markersize=13, zorder=4)
    axis.set_xlim(-0.7, answer + 0.7)
    axis.set_ylim(-0.35, layers + 0.45)
    axis.set_yticks(range(layers + 1), ["emb", *[str(i) for i in range(1, layers + 1)]], fontsize=8)
    axis.set_ylabel("block", fontsize=9)
    axis.set_xticks(range(answer + 1), [visible(p) for p in prompt.pieces[: answer + 1]], rotation=60, fontsize=8)
    for index, label in enumerate(axis.get_xticklabels()):
        label.set(ha="right", rotation_mode="anchor", color=_token_colour(index, record))
        label.set_fontweight("bold" if index in prompt.subject else "normal")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _draw_edge(axis: "Axes", edge: np.void) -> None:
    width = max(_THINNEST, _WIDEST * min(1.0, edge["weight"] / 0.5))
    low, high = edge["below"] / 2, edge["above"] / 2
    if edge["kind"] == circuits.MLP:
        axis.plot(edge["target"], (low + high) / 2, "s", color=ORANGE, markersize=3 + width, zorder=3)
        return
    attention = edge["kind"] == circuits.ATTENTION
    axis.plot(
        (edge["source"], edge["target"]),
        (low, high),
        color=BLUE if attention else "#BBBBBB",
        linewidth=width,
        alpha=0.75 if attention else 1.0,
        solid_capstyle="round",
        zorder=2 if attention else 1,
    )


def _token_colour(index: int, record: Record) -> str:
    if index in record.prompt.subject:
        return DARK
    return "#444444" if index in record.prompt.template else GREY


def _legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, linewidth=3, label="attention head"),
        Line2D([], [], color="#BBBBBB", linewidth=3, label="residual stream"),
        Line2D([], [], color=ORANGE, marker="s", linestyle="none", markersize=7, label="MLP"),
        Line2D([], [], color=GREEN, marker="*", linestyle="none", markersize=11, label="answer position"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=8)
