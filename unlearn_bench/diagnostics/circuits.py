"""Circuits: which heads and which source tokens write the answer.

    a_t = sum_(h,s) A_h[t,s] v_s W_h  (+ bias)             attention output at t, exact, per head h and source token s
    y_t = x_t + a_t                                        residual stream after attention (x_t: before)
    z_t = y_t + m_t                                        residual stream after the MLP
    c_j = max(|y|_1 - |y - p_j|_1, 1e-5) / sum_i(...)      contribution of part p_j to y; sums to 1 over the parts

Parts of y_t: x_t, each (h, s), the bias if there is one; parts of z_t: y_t and m_t. In parallel blocks (GPT-NeoX)
attention and MLP read the same input and are parts of one sum. Where the block norms its outputs (Gemma2, OLMo2), the
norm's scale at t is applied to each part, so that the parts still sum to what joins the stream. Edges above a threshold
are kept and followed back from the answer position; they are not renormalised.

Source: information flow routes (Ferrando and Voita, arXiv 2403.00824), the formula of the LM Transparency Tool; ReLearn
(arXiv 2502.11190) shows such graphs for single prompts at thresholds 0.06 and 0.08.
The answer position is the one that predicts the first token of the gold entity, after the true answer's words
before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn_bench.diagnostics._decompose import Projection, View
from unlearn_bench.diagnostics._hooks import AttentionParts, Block, Decoder
from unlearn_bench.diagnostics._prompts import Prompt
from unlearn_bench.errors import UserError

FLOOR = 1e-5
THRESHOLDS = (0.04, 0.06, 0.08)
EXAMPLE_THRESHOLD = 0.01  # a few prompts are traced further down, to be drawn
GROUPS = ("subject", "template", "rest")
ATTENTION, RESIDUAL, MLP, AROUND_MLP, BIAS = range(5)
# Levels number the nodes of a token: 2 l before block l, 2 l + 1 after its attention.
EDGE = np.dtype([("below", "i2"), ("above", "i2"), ("kind", "i1"), ("head", "i2"), ("source", "i4"), ("target", "i4")])
WEIGHTED_EDGE = np.dtype([*EDGE.descr, ("weight", "f4")])
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
_HALF_TOLERANCE = 3e-2

Edge = tuple[int, int, int, int, int, int, float]


@dataclass(frozen=True)
class Circuit:
    """What flows into one answer position.

    Attributes:
        heads: Contribution of each head to the stream after attention, (layers, heads).
        sources: Contribution of each source token by attention, (layers, tokens up to the answer position).
        residual: Contribution of the stream itself at each layer, (layers,).
        edges: Edges above the lowest threshold that lead back from the answer position, an array of `WEIGHTED_EDGE`.
        error: How exactly the parts sum to the blocks' outputs (`View.error`), the worst block.
    """

    heads: np.ndarray
    sources: np.ndarray
    residual: np.ndarray
    edges: np.ndarray
    error: float


def contributions(parts: Tensor, whole: Tensor, *, floor: float = FLOOR) -> Tensor:
    """Contribution of each part, (parts, d), to the whole, (d,); non-negative, sums to 1.

    >>> contributions(torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([3.0, 1.0])).tolist()
    [0.5, 0.25, 0.25]
    """
    without = torch.cdist(whole[None], parts, p=1)[0]
    raw = (whole.abs().sum() - without).clamp(min=floor)
    return raw / raw.sum()


def follow(edges: np.ndarray, answer: int, layers: int, threshold: float) -> np.ndarray:
    """The edges that lead back from one token after the last block.

    Args:
        edges: Of one circuit, an array of `WEIGHTED_EDGE`, (edges,).
        answer: Index of the token at the answer position.
        layers: Number of blocks.
        threshold: Edges at or below it are left out, in [0, 1).

    Returns:
        Some of the edges, from the last level to the first.
    """
    strong = edges[edges["weight"] > threshold]
    reached, kept = {(2 * layers, answer)}, []
    for index in np.argsort(-strong["above"], kind="stable"):
        edge = strong[index]
        if (int(edge["above"]), int(edge["target"])) in reached:
            reached.add((int(edge["below"]), int(edge["source"])))
            kept.append(index)
    return strong[kept]


def graph_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Jaccard distance of two graphs, in [0, 1]: the share of edges that only one has; 0 for two without edges.

    Args:
        ours: Edges, an array of `WEIGHTED_EDGE`, (edges,); weights do not count.
        theirs: The other graph's.
    """
    left, right = (set(graph[list(EDGE.names)].tolist()) for graph in (ours, theirs))
    return 1 - len(left & right) / len(left | right) if left | right else 0.0


def shares(sources: np.ndarray, prompt: Prompt) -> dict[str, float]:
    """Share of the attention-carried contribution, (layers, tokens), that comes from each of `GROUPS`; sums to 1.

    "rest" is what is neither the subject nor the question: the prompt's scaffolding, the beginning-of-text token, the
    answer's words so far and the answer position itself.
    """
    by_token = sources.sum(0)
    groups = np.full(len(by_token), 2)
    groups[[i for i in prompt.template if i < len(by_token)]] = 1
    groups[[i for i in prompt.subject if i < len(by_token)]] = 0
    return {name: float(by_token[groups == i].sum() / by_token.sum()) for i, name in enumerate(GROUPS)}


class Tracer:
    """Decomposes recorded blocks of one model; the output projections are read once."""

    def __init__(self, decoder: Decoder, parts: Sequence[AttentionParts]) -> None:
        self.decoder = decoder
        self._projections = [Projection(part) for part in parts]

    @torch.no_grad()
    def trace(
        self, blocks: Sequence[Block], row: int, prompt: Prompt, *, threshold: float = min(THRESHOLDS)
    ) -> Circuit:
        """Decompose one prompt's pass, from the answer position backwards.

        Args:
            blocks: Recorded with eager attention.
            row: The prompt's row in the batch.
            prompt: Which tokens are what.
            threshold: Edges at or below it are not followed.

        Raises:
            UserError: if the parts do not sum to the block's output: an architecture that joins them differently.
        """
        answer = prompt.entity[0] - 1
        by_layer: list[tuple[Tensor, Tensor]] = []
        edges: list[Edge] = []
        active: dict[int, set[int]] = {2 * len(blocks): {answer}}
        worst = 0.0
        for layer in reversed(range(len(blocks))):
            view = View(blocks[layer], self._projections[layer], row, answer + 1)
            worst = max(worst, self._checked(view, blocks[layer].out.dtype))
            by_layer.insert(0, _into_middle(view, answer))
            edges += _into_layer(view, layer, active, threshold)
        return Circuit(
            heads=np.stack([by_head.sum(1).cpu().numpy() for by_head, _ in by_layer]),
            sources=np.stack([by_head.sum(0).cpu().numpy() for by_head, _ in by_layer]),
            residual=np.array([others[0].item() for _, others in by_layer]),
            edges=np.array(edges, dtype=WEIGHTED_EDGE),
            error=worst,
        )

    def _checked(self, view: View, dtype: torch.dtype) -> float:
        error, tolerance = view.error(), _TOLERANCE.get(dtype, _HALF_TOLERANCE)
        if error > tolerance:
            raise UserError(
                f"circuits does not support {self.decoder.name}: heads and MLP do not sum to the block's output "
                f"(relative difference {error:.1e}, allowed {tolerance:.0e})",
                hint="leave circuits out with --diagnostics; the others do not need the decomposition",
            )
        return error


def _into_middle(view: View, target: int) -> tuple[Tensor, Tensor]:
    """Contributions to the stream after attention: (heads, target + 1) of each source, and those of `View.others`."""
    heads, others = view.heads(target), view.others(target)
    found = contributions(torch.cat([heads.flatten(0, 1), others]), view.middle[target])
    count = heads.shape[0] * heads.shape[1]
    return found[:count].view(heads.shape[:2]), found[count:]


def _into_token(view: View, layer: int, target: int, threshold: float, level: int) -> list[Edge]:
    """The edges into a token's node at `level`, those above the threshold."""
    below = 2 * layer
    if level == below + 2 and not view.parallel:
        pair = torch.stack([view.mlp[target], view.middle[target]])
        kinds, weights = (MLP, AROUND_MLP), contributions(pair, view.out[target]).tolist()
        found = [(below + 1, level, kind, -1, target, target, w) for kind, w in zip(kinds, weights, strict=True)]
        return [edge for edge in found if edge[-1] > threshold]
    by_head, others = _into_middle(view, target)
    kinds = (RESIDUAL, *((MLP,) if view.parallel else ()), BIAS)
    found = [(below, level, kind, -1, target, target, w) for kind, w in zip(kinds, others.tolist(), strict=False)]
    # A bias comes from no token: it takes its share of the sum, but leads nowhere.
    found = [edge for edge in found if edge[-1] > threshold and edge[2] != BIAS]
    strong = (by_head > threshold).nonzero().tolist()
    return found + [(below, level, ATTENTION, h, s, target, by_head[h, s].item()) for h, s in strong]


def _into_layer(view: View, layer: int, active: dict[int, set[int]], threshold: float) -> list[Edge]:
    """Strong edges into the active nodes behind and inside a block; marks where they come from as active."""
    found: list[Edge] = []
    for level in (2 * layer + 2, 2 * layer + 1):
        for target in sorted(active.get(level, ())):
            edges = _into_token(view, layer, target, threshold, level)
            found += edges
            for edge in edges:
                active.setdefault(edge[0], set()).add(edge[4])
    return found
