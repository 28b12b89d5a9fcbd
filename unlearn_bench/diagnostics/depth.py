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
their bases, which no unlearning closes. Check: on rows that both know, D1 should be near 0.
"""

import numpy as np
import torch
from torch import Tensor, nn

from unlearn_bench.diagnostics._hooks import Decoder, tensor
from unlearn_bench.diagnostics._prompts import Batch
from unlearn_bench.errors import UserError

THRESHOLD = 0.05  # nats
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


@torch.no_grad()
def measure(original: Decoder, judged: Decoder, retain: Decoder, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """D1 and D2 of each prompt and block, (batch, blocks), in nats."""
    spans = [range(*p.entity) for p in batch.prompts]
    where, gold = batch.where(spans), batch.targets(spans)
    owner = where[0]
    states, calls, log_p = _run(original, batch, where, gold)
    results = []
    for source in (retain, judged):
        given, _, _ = _run(source, batch, where, gold)
        lost = []
        for level in range(len(original.layers)):
            patched = states[level].clone()
            patched[where] = given[level][where].to(patched.dtype)
            lost.append(log_p - _continue(original, patched, level, calls, where, gold))
        results.append(_mean_by_row(torch.stack(lost, 1), owner, len(batch.prompts)))
    return results[0], results[1]


def _run(decoder: Decoder, batch: Batch, where: tuple[Tensor, Tensor], gold: Tensor) -> tuple[list, list, Tensor]:
    """Every block's output and keyword arguments, and the gold tokens' log-probabilities of the unpatched model."""
    states: list[Tensor] = []
    calls: list[dict] = []

    def on_exit(_: nn.Module, args: tuple, kwargs: dict, output: Tensor | tuple) -> None:
        states.append(tensor(output))
        calls.append({"args": args[1:], "kwargs": {k: v for k, v in kwargs.items() if k != "hidden_states"}})

    handles = [layer.register_forward_hook(on_exit, with_kwargs=True) for layer in decoder.layers]
    try:
        decoder.body(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return states, calls, _gold_log_probability(decoder, states[-1], where, gold)


def _continue(
    decoder: Decoder, hidden: Tensor, level: int, calls: list[dict], where: tuple[Tensor, Tensor], gold: Tensor
) -> Tensor:
    """Run the blocks after `level` from patched states: the blocks before would only repeat themselves."""
    for layer, call in zip(decoder.layers[level + 1 :], calls[level + 1 :], strict=True):
        hidden = tensor(layer(hidden, *call["args"], **call["kwargs"]))
    return _gold_log_probability(decoder, hidden, where, gold)


def _gold_log_probability(decoder: Decoder, hidden: Tensor, where: tuple[Tensor, Tensor], gold: Tensor) -> Tensor:
    return decoder.unembed(hidden[where]).log_softmax(-1).gather(-1, gold[:, None])[:, 0].double()


def _mean_by_row(values: Tensor, owner: Tensor, rows: int) -> np.ndarray:
    """Mean over each row's entity tokens of (tokens, blocks)."""
    total = torch.zeros(rows, values.shape[1], dtype=values.dtype, device=values.device).index_add_(0, owner, values)
    count = torch.bincount(owner, minlength=rows)[:, None]
    return (total / count).cpu().numpy()
