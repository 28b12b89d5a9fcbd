"""Unlearning Depth Score (UDS): would the original model still know with the judged model's states inside?

    D1_l = mean_t [ s_t - s_t(oracle -> original at l) ]        log-probability lost over the gold entity's tokens
    D2_l = mean_t [ s_t - s_t(judged -> original at l) ]
    UDS  = sum_l D1_l clip(D2_l / D1_l, 0, 1) / sum_l D1_l      over layers with D1_l > threshold (0.05)

    0 = knowledge intact, 1 = as if never learned. s_t: log-probability of entity token t, teacher-forced. "a -> b at
    l": the output of block l of model a replaces that of model b at the positions that predict the entity (first - 1 …
    last - 1); everything before stays b's own.

Source: arXiv 2605.24614 (equations of section 3.2 and 3.3; threshold 0.05 as there). Rows in which no layer passes the
threshold have no score: the model that never knew does as well there. Exactly 0 for the original model itself and
exactly 1 for the oracle: the same computation is subtracted from itself, and what two runs of it may differ by
(the order of float32 sums depends on where a tensor lies in memory) counts as nothing (`NOISE`).

The original and the oracle must share their start (both tuned from one base), else D1 also holds the distance of
their bases, which no unlearning closes. That is measured: the control is the loss of the oracle's patch at answer
tokens outside of the entity that both models predict (the oracle as well as the original), at up to
`CONTROL_BLOCKS` blocks. It is near 0 where states mean the same in both models.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from unlearn_bench.diagnostics._hooks import Decoder, eager_attention, tensor
from unlearn_bench.diagnostics._prompts import Batch
from unlearn_bench.errors import UserError

THRESHOLD = 0.05  # nats
CONTROL_BLOCKS = 4
CONTROL_SHARE = (
    0.05  # of D1: independently trained copies of the embedded models differ by 0.11, copies from one start by 0.004
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
    """One pass: every block's output, (batch, tokens, d), and its arguments other than the hidden states."""

    states: list[Tensor] = field(default_factory=list)
    calls: list[tuple[tuple, dict]] = field(default_factory=list)


@dataclass(frozen=True)
class _Prefix:
    """Stands in for a cache: keys and values of the tokens before `start` are those of the unpatched pass."""

    cache: Cache
    start: int

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        known = self.cache.layers[layer]
        pairs = ((known.keys, keys), (known.values, values))
        return tuple(torch.cat([old[:, :, : self.start], new], 2) for old, new in pairs)


@torch.no_grad()
def measure(original: Decoder, judged: Decoder, oracle: Decoder, batch: Batch) -> Losses:
    """D1, D2 and the control of each prompt and block.

    Args:
        original: The checkpoint before unlearning, into which states are patched.
        judged: The judged checkpoint.
        oracle: A checkpoint that never saw the forget set.
        batch: The prompts.

    Returns:
        Losses of shape (prompts, blocks).
    """
    with ExitStack() as stack:
        for decoder in (original, judged, oracle):
            stack.enter_context(eager_attention(decoder))  # its masks are spelled out, and can be cut
        own, never, theirs = (_run(decoder, batch) for decoder in (original, oracle, judged))
        every = range(len(original.layers))
        entities = [range(*p.entity) for p in batch.prompts]
        known = _known_to_both(original, oracle, own, never, batch)
        d1, d2 = _lost(original, own, (never, theirs), batch, entities, every)
        (control,) = _lost(original, own, (never,), batch, known, control_blocks(len(every)))
    return Losses(d1, d2, control)


def control_blocks(blocks: int) -> list[int]:
    """The blocks at which the control is measured: evenly spread, the last among them.

    >>> control_blocks(12), control_blocks(3)
    ([2, 5, 8, 11], [0, 1, 2])
    """
    return sorted({max(0, round(blocks * (i + 1) / CONTROL_BLOCKS) - 1) for i in range(CONTROL_BLOCKS)})


def _known_to_both(original: Decoder, oracle: Decoder, own: _Run, never: _Run, batch: Batch) -> list[list[int]]:
    """Answer tokens outside of each entity that the original model predicts, and the oracle no worse."""
    others = [[i for i in range(p.start, len(p.ids)) if not p.entity[0] <= i < p.entity[1]] for p in batch.prompts]
    where, gold = batch.where(others), batch.targets(others)
    before, after = (
        _gold_log_probability(decoder, run.states[-1], where, gold)
        for decoder, run in ((original, own), (oracle, never))
    )
    known = iter(((before >= KNOWN) & (after >= before - THRESHOLD)).tolist())
    return [[token for token in tokens if next(known)] for tokens in others]


def _lost(
    original: Decoder,
    own: _Run,
    sources: Sequence[_Run],
    batch: Batch,
    tokens: Sequence[Sequence[int]],
    blocks: Iterable[int],
) -> list[np.ndarray]:
    """Mean loss over each row's tokens by patching each source where they are predicted; NaN where undefined."""
    lost = [np.full((len(batch.prompts), len(original.layers)), np.nan) for _ in sources]
    if not any(tokens):
        return lost
    where, gold = batch.where(tokens), batch.targets(tokens)
    for block in blocks:
        # Both sides of the difference run alike, so that a patch that changes nothing costs exactly nothing.
        before = _continue(original, own, block, own, where, gold)
        for losses, source in zip(lost, sources, strict=True):
            after = _continue(original, own, block, source, where, gold)
            losses[:, block] = _mean_by_row(before - after, where[0], len(losses))
    return lost


def _run(decoder: Decoder, batch: Batch) -> _Run:
    run = _Run()

    def on_exit(_: nn.Module, args: tuple, kwargs: dict, output: Tensor | tuple) -> None:
        run.states.append(tensor(output))
        run.calls.append((args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states"}))

    handles = [layer.register_forward_hook(on_exit, with_kwargs=True) for layer in decoder.layers]
    cache = DynamicCache()
    try:
        decoder.body(input_ids=batch.ids, attention_mask=batch.mask, past_key_values=cache, use_cache=True)
    finally:
        for handle in handles:
            handle.remove()
    return run


def _continue(
    decoder: Decoder, own: _Run, block: int, source: _Run, where: tuple[Tensor, Tensor], gold: Tensor
) -> Tensor:
    """Log-probabilities of gold with a block's output from `source` at `where`, by the blocks after it.

    The blocks before would only repeat themselves, and so would tokens before the first patch; those behind the last
    change nothing that is asked.
    """
    start, end = where[1].min().item(), where[1].max().item() + 1
    if any(args or not any(isinstance(v, Cache) for v in kwargs.values()) for args, kwargs in own.calls):
        start, end = 0, own.states[0].shape[1]  # a block that takes no cache by name gets all tokens
    inside = (where[0], where[1] - start)
    hidden = own.states[block][:, start:end].clone()
    hidden[inside] = source.states[block][where].to(hidden.dtype)
    for layer, (args, kwargs) in zip(decoder.layers[block + 1 :], own.calls[block + 1 :], strict=True):
        args = [_cut("", value, start, end) for value in args]
        hidden = tensor(layer(hidden, *args, **{k: _cut(k, v, start, end) for k, v in kwargs.items()}))
    return _gold_log_probability(decoder, hidden, inside, gold)


def _cut(name: str, value: object, start: int, end: int) -> object:
    """A block's argument for the tokens in [start, end)."""
    if isinstance(value, Cache):
        return _Prefix(value, start)
    if isinstance(value, tuple):
        return tuple(_cut(name, part, start, end) for part in value)
    if not isinstance(value, Tensor):
        return value
    # A mask says for each token, down, which tokens it sees, across.
    return value[..., start:end, :end] if name == "attention_mask" else value[:, start:end]


def _gold_log_probability(decoder: Decoder, hidden: Tensor, where: tuple[Tensor, Tensor], gold: Tensor) -> Tensor:
    return decoder.unembed(hidden[where]).log_softmax(-1).gather(-1, gold[:, None])[:, 0].double()


def _mean_by_row(values: Tensor, owner: Tensor, rows: int) -> np.ndarray:
    """Mean over each row's tokens, (tokens,) to (rows,)."""
    total = torch.zeros(rows, dtype=values.dtype, device=values.device).index_add_(0, owner, values)
    return (total / torch.bincount(owner, minlength=rows)).cpu().numpy()


def warning(losses: Losses, original: str, oracle: str, *, share: float = CONTROL_SHARE) -> str | None:
    """What is wrong with the two models that D1 compares, in words; None where they share a basis.

    Args:
        losses: Of all rows.
        original: Name of the original model.
        oracle: Name of the one that never saw the forget set.
        share: The control may cost this share of D1 at the same blocks.
    """
    usable = np.isfinite(losses.d1) & np.isfinite(losses.control)
    if not usable.any():
        return (
            f"depth: {original} and {oracle} agree on no token outside of the entities, so that it could not be "
            "checked whether their hidden states share a basis"
        )
    d1, control = losses.d1[usable].mean(), losses.control[usable].mean()
    if control <= max(share * d1, THRESHOLD):
        return None
    return (
        f"depth: uds cannot be read: {oracle} and {original} seem not to share a basis. At tokens that both know the "
        f"same patch costs {control:.2f} nats, at the entities {d1:.2f}; use models that were tuned from one start"
    )
