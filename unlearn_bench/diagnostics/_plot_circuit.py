"""The circuit diagram: the strongest edges that lead to one prompt's answer position."""

from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.diagnostics import circuits
from unlearn_bench.diagnostics._records import Record
from unlearn_bench.diagnostics.plot_style import BLUE, DARK, GREEN, GREY, ORANGE, load_matplotlib, short, visible
from unlearn_bench.diagnostics.schema import Diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDEST = 6.0  # points of an edge of weight 0.5 and more
_THINNEST = 0.7
_MOST_EDGES = 60  # of attention; the stream and the MLPs never cross
_MOST_TOKENS = 45  # of a longer prompt only those that take part are shown
_TALLEST = 9.0  # inches of all blocks
_DRAWN = (circuits.EXAMPLE_THRESHOLD, 0.015, 0.02, 0.03)


def draw_circuit(record: Record, document: Diagnostics) -> "Figure":
    """Tokens from left to right, layers from bottom to top; the model before unlearning above the judged one."""
    plt = load_matplotlib()
    graphs = [(short(document.model), record.circuit)]
    if record.original_circuit is not None:
        graphs.insert(0, (f"{short(document.original)} (before unlearning)", record.original_circuit))
    tokens, layers = record.prompt.entity[0], len(record.circuit.heads)
    threshold = _lowest_readable([circuit for _, circuit in graphs], tokens - 1, layers)
    drawn = [(name, circuits.follow(circuit.edges, tokens - 1, layers, threshold)) for name, circuit in graphs]
    columns = _columns([edges for _, edges in drawn], record, tokens)
    size = (max(6.0, 0.36 * len(columns) + 1.6), (min(0.42 * layers, _TALLEST) + 2.3) * len(graphs) + 0.4)
    figure, axes = plt.subplots(len(graphs), 1, figsize=size, squeeze=False)
    for axis, (name, edges) in zip(axes[:, 0], drawn, strict=True):
        _draw(axis, edges, record, layers, columns)
        axis.set_title(f"{name}: {len(edges)} edges above {threshold}", fontsize=10, loc="left", color=DARK)
    _legend(figure)
    target = visible(record.prompt.pieces[tokens])
    left_out = tokens - len(columns)
    note = f"; {left_out} tokens without an edge are left out" if left_out else ""
    title = f'what flows to the position that predicts "{target}"\nbold: the subject; width: contribution{note}'
    figure.suptitle(title, fontsize=9, color=DARK)
    figure.tight_layout(rect=(0, 0.045, 1, 0.985))
    return figure


def _lowest_readable(graphs: list[circuits.Circuit], answer: int, layers: int) -> float:
    """The lowest threshold at which no graph has too many edges to be read."""
    for threshold in sorted({*circuits.THRESHOLDS, *_DRAWN}):
        followed = [circuits.follow(g.edges, answer, layers, threshold) for g in graphs]
        if max((edges["kind"] == circuits.ATTENTION).sum() for edges in followed) <= _MOST_EDGES:
            return threshold
    return max(circuits.THRESHOLDS)


def _columns(graphs: list[np.ndarray], record: Record, tokens: int) -> dict[int, int]:
    """Token index to its place from left to right; of a long prompt the tokens with edges and the subject's."""
    shown = set(range(tokens))
    if tokens > _MOST_TOKENS:
        with_edges = {int(token) for edges in graphs for end in ("source", "target") for token in edges[end]}
        shown &= with_edges | record.prompt.subject | {0, tokens - 1}
    return {token: place for place, token in enumerate(sorted(shown))}


def _draw(axis: "Axes", edges: np.ndarray, record: Record, layers: int, columns: dict[int, int]) -> None:
    prompt, answer = record.prompt, columns[record.prompt.entity[0] - 1]
    # The stream first, attention over it, MLP marks on top.
    for edge in sorted(edges, key=lambda e: e["kind"] == circuits.ATTENTION):
        _draw_edge(axis, edge, columns)
    nodes = {(e["source"], e["below"]) for e in edges} | {(e["target"], e["above"]) for e in edges}
    for token, level in nodes:
        axis.plot(columns[token], level / 2, "o", color=DARK, markersize=2.5, zorder=3)
    axis.plot(answer, layers, "*", color=GREEN, markersize=13, zorder=4)
    axis.set_xlim(-0.7, answer + 0.7)
    axis.set_ylim(-0.35, layers + 0.45)
    blocks = range(0, layers + 1, max(1, layers // 15))
    axis.set_yticks(blocks, ["emb", *map(str, blocks[1:])], fontsize=8)
    axis.set_ylabel("block", fontsize=9)
    axis.set_xticks(range(answer + 1), [visible(prompt.pieces[i]) for i in columns], rotation=60, fontsize=8)
    for index, label in zip(columns, axis.get_xticklabels(), strict=True):
        label.set(ha="right", rotation_mode="anchor", color=_token_colour(index, record))
        label.set_fontweight("bold" if index in prompt.subject else "normal")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _draw_edge(axis: "Axes", edge: np.void, columns: dict[int, int]) -> None:
    width = max(_THINNEST, _WIDEST * min(1.0, edge["weight"] / 0.5))
    low, high = edge["below"] / 2, edge["above"] / 2
    if edge["kind"] == circuits.MLP:
        axis.plot(columns[edge["target"]], (low + high) / 2, "s", color=ORANGE, markersize=3 + width, zorder=3)
        return
    attention = edge["kind"] == circuits.ATTENTION
    axis.plot(
        (columns[edge["source"]], columns[edge["target"]]),
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
