"""Unlearning Depth Score (UDS): would the original model still know with the judged model's states inside?

    D1_l = mean_t [ s_t - s_t(retain -> original at l) ]        log-probability lost over the gold entity's tokens
    D2_l = mean_t [ s_t - s_t(judged -> original at l) ]
    UDS  = sum_l D1_l clip(D2_l / D1_l, 0, 1) / sum_l D1_l      over layers with D1_l > threshold (0.05)

    0 = knowledge intact, 1 = as if never learned. s_t: log-probability of entity token t, teacher-forced. "a -> b at
    l": the output of block l of model a replaces that of model b at the positions that predict the entity (first - 1 …
    last - 1); everything before stays b's own.

Source: arXiv 2605.24614 (equations of section 3.2 and 3.3; threshold 0.05 as there). Rows in which no layer passes the
threshold have no score: the model that never knew does as well there. Exactly 0 for the original model itself and
exactly 1 for the retain model: the same computation is subtracted from itself, and what two runs of it may differ by
(the order of float32 sums depends on where a tensor lies in memory) counts as nothing (`NOISE`).

The original and the retain model must share their start (both tuned from one base), else D1 also holds the distance of
their bases, which no unlearning closes. That is measured: the control is the loss of the retain model's patch at answer
tokens outside of the entity that both models predict (the retain model as well as the original), at up to
`CONTROL_BLOCKS` blocks. It is near 0 where states mean the same in both models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unlearn_bench.diagnostics._hooks import Decoder, tensor
from unlearn_bench.diagnostics._prompts import Batch
from unlearn_bench.errors import UserError

THRESHOLD = 0.05  # nats
CONTROL_BLOCKS = 4
CONTROL_SHARE = (
    0.05  # of D1: independently trained twins of the embedded models lie at 0.11, those of one start at 0.004
)
KNOWN = float(np.log(0.5))  # a token that the control counts is one that the original model would say
NOISE = 1e-5  # nats; float32 log-probabilities of one computation done twice


def unlearning_depth(
    d1: np.ndarray, d2: np.ndarray, *, threshold: float = THRESHOLD, noise: float = NOISE
) -> np.ndarray:
    """UDS of each row from D1 and D2, (..., layers), in nats; NaN where no layer has D1 above the threshold.

    D2 within `noise` of 0 or of D1 is that.

    >>> unlearning_depth(np.array([1.0, 3.0, 0.01]), np.array([0.5, 6.0, 9.9])).item()  # (1 * 0.5 + 3 * 1) / 4
    0.875
    """
    d2 = np.where(np.abs(d2) <= noise, 0.0, np.where(np.abs(d2 - d1) <= noise, d1, d2))
    kept = np.where(d1 > threshold, d1, 0.0)
    ratio = np.clip(np.divide(d2, d1, out=np.zeros_like(d1), where=kept > 0), 0, 1)
    total = kept.sum(-1)
    return np.divide((kept * ratio).sum(-1), total, out=np.full_like(total, np.nan), where=total > 0)


def check_same_shape(original: Decoder, other: Decoder, who: str) -> None:
    """States can only move between models of the same shape.

    Raises:
        UserError: if the number of blocks, the width or the vocabulary differ.
    """
    ours = (len(original.layers), original.model.config.hidden_size, original.vocabulary)
    theirs = (len(other.layers), other.model.config.hidden_size, other.vocabulary)
    if ours != theirs:
        raise UserError(
            f"{who}: {theirs[0]} blocks, width {theirs[1]}, vocabulary {theirs[2]}; the original model has "
            f"{ours[0]}, {ours[1]} and {ours[2]}",
            hint="depth compares checkpoints of one architecture; leave it out with --diagnostics",
        )


@dataclass(frozen=True)
class Losses:
    """Log-probability lost by patching, nats, (rows, blocks); see the module's formulas.

    Attributes:
        control: NaN for rows without a token that both models predict, and at blocks that were not tried.
    """

    d1: np.ndarray
    d2: np.ndarray
    control: np.ndarray


@dataclass(frozen=True)
class _Run:
    """One pass: every block's output, (batch, tokens, d), and its arguments beside the hidden states."""

    states: list[Tensor]
    calls: list[dict]


@torch.no_grad()
def measure(original: Decoder, judged: Decoder, retain: Decoder, batch: Batch) -> Losses:
    """D1, D2 and the control of each prompt and block."""
    own, never, theirs = (_run(decoder, batch) for decoder in (original, retain, judged))
    every = range(len(original.layers))
    entities = [range(*p.entity) for p in batch.prompts]
    known = _known_to_both(original, retain, own, never, batch)
    return Losses(
        d1=_lost(original, own, never, batch, entities, every),
        d2=_lost(original, own, theirs, batch, entities, every),
        control=_lost(original, own, never, batch, known, control_blocks(len(every))),
    )


def control_blocks(blocks: int) -> list[int]:
    """The blocks at which the control is measured: evenly spread, the last among them.

    >>> control_blocks(12), control_blocks(3)
    ([2, 5, 8, 11], [0, 1, 2])
    """
    return sorted({max(0, round(blocks * (i + 1) / CONTROL_BLOCKS) - 1) for i in range(CONTROL_BLOCKS)})


def _known_to_both(original: Decoder, retain: Decoder, own: _Run, never: _Run, batch: Batch) -> list[list[int]]:
    """Answer tokens outside of each entity that the original model predicts, and the retain model no worse."""
    others = [[i for i in range(p.start, len(p.ids)) if not p.entity[0] <= i < p.entity[1]] for p in batch.prompts]
    where, gold = batch.where(others), batch.targets(others)
    before, after = (
        _gold_log_probability(decoder, run.states[-1], where, gold)
        for decoder, run in ((original, own), (retain, never))
    )
    known = iter(((before >= KNOWN) & (after >= before - THRESHOLD)).tolist())
    return [[token for token in tokens if next(known)] for tokens in others]


def _lost(
    original: Decoder, own: _Run, source: _Run, batch: Batch, tokens: Sequence[Sequence[int]], blocks: Iterable[int]
) -> np.ndarray:
    """Mean loss over each row's tokens by patching a source where they are predicted; NaN where there is none."""
    lost = np.full((len(batch.prompts), len(original.layers)), np.nan)
    if not any(tokens):
        return lost
    where, gold = batch.where(tokens), batch.targets(tokens)
    before = _gold_log_probability(original, own.states[-1], where, gold)
    for block in blocks:
        patched = own.states[block].clone()
        patched[where] = source.states[block][where].to(patched.dtype)
        after = _continue(original, patched, block, own.calls, where, gold)
        lost[:, block] = _mean_by_row(before - after, where[0], len(lost))
    return lost


def _run(decoder: Decoder, batch: Batch) -> _Run:
    run = _Run([], [])

    def on_exit(_: nn.Module, args: tuple, kwargs: dict, output: Tensor | tuple) -> None:
        run.states.append(tensor(output))
        run.calls.append({"args": args[1:], "kwargs": {k: v for k, v in kwargs.items() if k != "hidden_states"}})

    handles = [layer.register_forward_hook(on_exit, with_kwargs=True) for layer in decoder.layers]
    try:
        decoder.body(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return run


def _continue(
    decoder: Decoder, hidden: Tensor, block: int, calls: list[dict], where: tuple[Tensor, Tensor], gold: Tensor
) -> Tensor:
    """Run the blocks after `block` from patched states: the blocks before would only repeat themselves."""
    for layer, call in zip(decoder.layers[block + 1 :], calls[block + 1 :], strict=True):
        hidden = tensor(layer(hidden, *call["args"], **call["kwargs"]))
    return _gold_log_probability(decoder, hidden, where, gold)


def _gold_log_probability(decoder: Decoder, hidden: Tensor, where: tuple[Tensor, Tensor], gold: Tensor) -> Tensor:
    return decoder.unembed(hidden[where]).log_softmax(-1).gather(-1, gold[:, None])[:, 0].double()


def _mean_by_row(values: Tensor, owner: Tensor, rows: int) -> np.ndarray:
    """Mean over each row's tokens, (tokens,) to (rows,)."""
    total = torch.zeros(rows, dtype=values.dtype, device=values.device).index_add_(0, owner, values)
    return (total / torch.bincount(owner, minlength=rows)).cpu().numpy()


def warning(losses: Losses, original: str, retain: str, *, share: float = CONTROL_SHARE) -> str | None:
    """What is wrong with the two models that D1 compares, in words; None where they share a basis.

    Args:
        losses: Of all rows.
        original: Name of the original model.
        retain: Name of the one that never knew.
        share: The control may cost this share of D1 at the same blocks.
    """
    usable = np.isfinite(losses.d1) & np.isfinite(losses.control)
    if not usable.any():
        return (
            f"depth: {original} and {retain} agree on no token outside of the entities, so that it could not be "
            "checked whether their hidden states share a basis"
        )
    d1, control = losses.d1[usable].mean(), losses.control[usable].mean()
    if control <= max(share * d1, THRESHOLD):
        return None
    return (
        f"depth: uds cannot be read: {retain} and {original} seem not to share a basis. At tokens that both know the "
        f"same patch costs {control:.2f} nats, at the entities {d1:.2f}; use models that were tuned from one start"
    )
