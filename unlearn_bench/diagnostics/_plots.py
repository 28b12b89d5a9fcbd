"""Plots of a diagnosis, each as SVG and PNG.

Colours: Okabe and Ito's palette and cividis, which colour-blind readers can distinguish.
"""

import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.diagnostics._plot_circuit import draw_circuit
from unlearn_bench.diagnostics.plot_style import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    heat_map,
    load_matplotlib,
    short,
    use_fonts,
    visible,
)
from unlearn_bench.diagnostics.schema import Candidate, Diagnostics, Example, Position
from unlearn_bench.schema import MetricValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unlearn_bench.diagnostics.diagnose import Diagnosis


_WIDEST = 14.0  # inches


def write_plots(diagnosis: "Diagnosis", folder: Path) -> list[Path]:
    """Draw everything that was computed.

    Returns:
        The files written.

    Raises:
        UserError: if matplotlib is missing.
    """
    load_matplotlib()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # said by use_fonts, once
        return [path for name, figure in _draw(diagnosis).items() for path in _save(figure, folder, name)]


def _draw(diagnosis: "Diagnosis") -> "dict[str, Figure]":
    document = diagnosis.document
    drawn: dict[str, Figure] = {}
    if document.examples and document.examples[0].forced:
        drawn["token_distribution"] = plot_distribution(document, document.examples[0])
    if "logit_lens" in document.layers:
        drawn["logit_lens"] = plot_lens(diagnosis)
    if "circuits" in document.tables:
        drawn["circuit_shares"] = plot_shares(document)
        traced = next((r for r in diagnosis.drawn if r.circuit is not None and r.prompt.subject), None)
        if traced is not None:
            drawn["circuit"] = draw_circuit(traced, document)
    if "depth" in document.layers:
        drawn["depth"] = plot_depth(document)
    return drawn


def _save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.{kind}" for kind in ("svg", "png")]
    use_fonts(figure)
    for path in paths:
        # Without a date and with named ids the same numbers give the same file.
        figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def plot_distribution(document: Diagnostics, example: Example) -> "Figure":
    """Bars of the likeliest tokens per answer position: the model before unlearning left, the judged one right."""
    plt = load_matplotlib()
    sides: list[tuple[str, Callable[[Position], Sequence[Candidate] | None]]] = [
        (short(document.model), lambda p: p.candidates)
    ]
    if example.forced[0].original is not None:
        sides.insert(0, (f"{short(document.original)}\n(before unlearning)", lambda p: p.original))
    rows, width = len(example.forced), len(sides)
    figure, axes = plt.subplots(rows, width, figsize=(4.2 * width + 1, 1.12 * rows + 1.2), squeeze=False, sharex=True)
    for row, position in enumerate(example.forced):
        for column, (title, candidates) in enumerate(sides):
            axis = axes[row, column]
            _bars(axis, candidates(position) or [], position.gold)
            if row == 0:
                axis.set_title(title, fontsize=10, color=DARK)
        label = f"{position.token}. {visible(position.gold)}" + ("\n(entity)" if position.entity else "")
        axes[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, color=DARK)
        axes[row, 0].yaxis.set_label_coords(-0.33, 0.5)
        note = f"entropy {position.entropy:.2f} nats\ngold rank {position.gold_rank:g}"
        axes[row, -1].text(0.99, 0.06, note, transform=axes[row, -1].transAxes, ha="right", va="bottom", fontsize=7.5)
    for axis in axes[-1]:
        axis.set_xlabel("probability", fontsize=9)
    question = "\n".join(textwrap.wrap(" ".join(example.prompt.split()), 90, max_lines=4, placeholder=" …"))
    figure.suptitle(f"{question}\nblue: the reference answer's token", fontsize=9, color=DARK)
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    return figure


def _bars(axis: "Axes", candidates: Sequence[Candidate], gold: str) -> None:
    places = np.arange(len(candidates))[::-1]
    colours = [BLUE if c.token == gold else ORANGE for c in candidates]
    axis.barh(places, [c.probability for c in candidates], color=colours, height=0.78)
    axis.set_yticks(places, [visible(c.token) for c in candidates], fontsize=7.5)
    axis.set_xlim(0, 1)
    axis.tick_params(length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def plot_lens(diagnosis: "Diagnosis") -> "Figure":
    """Heat maps over levels and answer positions: the gold token's median rank, the oracle's, and the mean KL."""
    plt = load_matplotlib()
    document = diagnosis.document
    positions = int(document.settings["positions"])
    panels = [("lens", "rank", f"median rank of the gold token: {short(document.model)}")]
    if diagnosis.records[0].oracle_lens is not None:
        panels.append(("oracle_lens", "rank", f"median rank of the gold token: {short(document.oracle)} (never knew)"))
    panels.append(("lens", "kl", "KL to the final layer, nats (mean)"))
    grids = [_grid(diagnosis, attribute, name, positions) for attribute, name, _ in panels]
    levels = grids[0].shape[1]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(min(max(6.0, 0.62 * levels + 3), _WIDEST), (0.3 * (positions + 1) + 1.1) * len(panels)),
        squeeze=False,
    )
    labels = ["last prompt\nposition", *[f"answer {i}" for i in range(1, positions)], "gold entity"]
    for axis, (_, name, title), grid in zip(axes[:, 0], panels, grids, strict=True):
        # Panels of one quantity share their colours: the judged model and the one that never knew are compared by eye.
        alike = [other for (_, kind, _), other in zip(panels, grids, strict=True) if kind == name]
        heat_map(axis, grid, highest=max(g[np.isfinite(g)].max(initial=0.0) for g in alike), logarithmic=name == "rank")
        axis.set_title(title, fontsize=10, color=DARK, loc="left")
        axis.set_yticks(range(positions + 1), labels, fontsize=8)
        axis.axhline(positions - 0.5, color="white", linewidth=3)
    axes[-1, 0].set_xlabel("level (emb: embedding, then the output of each block)", fontsize=9)
    figure.tight_layout()
    return figure


def _grid(diagnosis: "Diagnosis", attribute: str, name: str, positions: int) -> np.ndarray:
    """Median rank or mean KL, (positions + entity, levels); NaN where no row has such a position."""
    cells: list[list[np.ndarray]] = [[] for _ in range(positions + 1)]
    for record in diagnosis.records:
        lens = getattr(record, attribute)
        usable = np.flatnonzero(lens.finite)
        for place in [i for i in record.at("answer") if i in usable and i < positions]:
            cells[place].append(getattr(lens, name)[place])
        entity = record.at("entity")[0]
        if entity in usable:
            cells[positions].append(getattr(lens, name)[entity])
    centre = np.median if name == "rank" else np.mean
    levels = getattr(diagnosis.records[0], attribute).rank.shape[1]
    return np.stack([centre(c, axis=0) if c else np.full(levels, np.nan) for c in cells])


def plot_shares(document: Diagnostics) -> "Figure":
    """Where the attention-carried contribution at the answer position comes from, over the set, with intervals."""
    plt = load_matplotlib()
    table = document.tables["circuits"]
    groups = {"subject": "subject's\ntokens", "template": "question's\nother tokens", "rest": "rest"}
    models = [(short(document.model), "", ORANGE)]
    if "subject_share_difference" in table:
        models.insert(0, (f"{short(document.original)} (before unlearning)", "_reference", BLUE))
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    width = 0.8 / len(models)
    for index, (name, suffix, colour) in enumerate(models):
        values = [table[f"{group}_share{suffix}"] for group in groups]
        places = np.arange(len(groups)) + (index - (len(models) - 1) / 2) * width
        heights = [v.value or 0.0 for v in values]
        axis.bar(places, heights, width * 0.92, color=colour, label=name)
        axis.errorbar(places, heights, yerr=_whiskers(values), fmt="none", ecolor=DARK, capsize=3, linewidth=1)
        for place, value in zip(places, values, strict=True):
            top = value.ci95[1] if value.ci95 else value.value or 0
            text = "n/a" if value.value is None else f"{value.value:.2f}"
            axis.annotate(text, (place, top), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    axis.set_xticks(range(len(groups)), list(groups.values()), fontsize=9)
    axis.set_ylabel("share of attention's contribution", fontsize=9)
    axis.set_ylim(0, min(1.05, axis.get_ylim()[1] * 1.12))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    n = table["subject_share"].n
    axis.set_xlabel(f"position that predicts the gold entity, {n} prompts, 95 % intervals", fontsize=8, color=GREY)
    figure.tight_layout()
    return figure


def _whiskers(values: Sequence[MetricValue]) -> np.ndarray:
    ends = [(v.value - v.ci95[0], v.ci95[1] - v.value) if v.ci95 and v.value is not None else (0, 0) for v in values]
    return np.clip(np.array(ends).T, 0, None)


def plot_depth(document: Diagnostics) -> "Figure":
    """Log-probability of the gold entity lost by patching each block's output."""
    plt = load_matplotlib()
    layers, uds = document.layers["depth"], document.tables["depth"]["uds"]
    figure, axis = plt.subplots(figsize=(6.4, 4.0))
    blocks = np.arange(1, len(layers["d1"]) + 1)
    for name, values, style in (
        (
            f"{short(document.oracle)} (never knew)",
            layers["d1"],
            {"color": SKY, "marker": "s", "markersize": 9, "linewidth": 4},
        ),
        (short(document.model), layers["d2"], {"color": ORANGE, "marker": "o", "markersize": 5, "linewidth": 1.6}),
        (
            f"control: {short(document.oracle)} where both models know the token",
            layers["control"],
            {"color": GREEN, "marker": "^", "markersize": 5, "linestyle": "none"},
        ),
    ):
        if (known := np.array(values, float))[np.isfinite(known)].size:
            axis.plot(blocks, known, label=name, **style)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_xticks(blocks if len(blocks) <= 16 else blocks[:: len(blocks) // 12])
    axis.set_xlabel(f"block whose output is patched into {short(document.original)}", fontsize=9)
    axis.set_ylabel("log-probability lost, nats", fontsize=9)
    value = "n/a" if uds.value is None else f"{uds.value:.3f}"
    interval = f" [{uds.ci95[0]:.3f}, {uds.ci95[1]:.3f}]" if uds.ci95 else ""
    axis.set_title(f"Unlearning Depth Score {value}{interval}, {uds.n} prompts", fontsize=10, loc="left", color=DARK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.17))
    figure.tight_layout()
    return figure
