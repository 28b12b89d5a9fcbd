"""Logit lens: what each layer would say, "knowledge memory".

    p_l           = softmax(unembed(norm(h_l)))               h_l: residual stream after block l; h_0: the embedding
    KL_l          = KL(p_L || p_l) = sum_v p_L,v (log p_L,v - log p_l,v)      nats, 0 at l = L
    jump          = max_l (KL_(l-1) - KL_l), and its l        how suddenly the answer forms
    formation     = min {l : argmax p_m = argmax p_L for all m >= l}          the layer where the final answer forms
    best rank     = min_l rank_l(gold)
    residual      = the output does not say gold (argmax p_L != gold), but best rank <= `residual_rank`

Source: section 5.2, "knowledge memory", of ReLearn (arXiv 2502.11190); lens: nostalgebraist 2020; the direction of the
divergence is the forward KL of Tuned Lens (arXiv 2303.08112, the final layer's distribution first). The layers share the
final norm and unembedding, nothing is trained. Early layers speak another basis: compare with a reference or with a model
that never knew, do not read one curve alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn_bench.diagnostics.token_distribution import middle_rank

RESIDUAL_RANK = 5.0  # in the top 5 of some layer


@dataclass(frozen=True)
class Lens:
    """What was read at each asked position; arrays (asked, layers + 1), level 0 is the embedding.

    Attributes:
        finite: False where some layer's logits are not finite numbers, (asked,).
        top_ids: Each level's top tokens, (asked, layers + 1, k).
        kl: Forward KL to the final layer, nats.
        gold: The reference answer's token, (asked,).
        rank, probability: Of the gold token.
    """

    finite: np.ndarray
    top_ids: np.ndarray
    kl: np.ndarray
    gold: np.ndarray
    rank: np.ndarray
    probability: np.ndarray


def forward_kl(log_final: Tensor, log_layer: Tensor) -> Tensor:
    """KL(final || layer) in nats, of log-probabilities (..., V).

    >>> final, layer = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    >>> round(forward_kl(final.log(), layer.log()).item(), 4)  # 0.5 log(0.5/0.9) + 0.5 log(0.5/0.1)
    0.5108
    """
    return (log_final.exp() * (log_final - log_layer)).nan_to_num(0.0).sum(-1).clamp(min=0)


def formation_layer(top: np.ndarray) -> np.ndarray:
    """First level from which on the top-1 token, (..., layers + 1), is the final one.

    >>> formation_layer(np.array([[4, 7, 9, 9], [9, 4, 4, 9], [9, 9, 9, 9]])).tolist()
    [2, 3, 0]
    """
    agrees = np.asarray(top) == np.asarray(top)[..., -1:]
    return top.shape[-1] - np.cumprod(agrees[..., ::-1], axis=-1).sum(-1)


def largest_jump(kl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest drop of KL (..., layers + 1) from one level to the next, and the level it arrives at.

    >>> size, level = largest_jump(np.array([5.0, 4.5, 1.0, 0.0]))
    >>> float(size), int(level)
    (3.5, 2)
    """
    drops = -np.diff(kl, axis=-1)
    return drops.max(-1), drops.argmax(-1) + 1


def residual(rank: np.ndarray, says_gold: np.ndarray, *, residual_rank: float = RESIDUAL_RANK) -> np.ndarray:
    """Where the output does not say gold, but some level has it at `residual_rank` or better; ranks (..., layers + 1)."""
    return ~says_gold & (rank.min(-1) <= residual_rank)


def measure(hidden: Sequence[Tensor], gold: Tensor, unembed: Callable[[Tensor], Tensor], *, top_k: int = 5) -> Lens:
    """Read every level at the asked positions; one level's logits are in memory at a time, beside the final ones.

    Args:
        hidden: Residual stream per level, each (asked, d); the embedding first.
        gold: Token ids of the reference answer, (asked,).
        unembed: Residual stream to float32 logits.
        top_k: How many top tokens are kept per level.
    """
    last = unembed(hidden[-1])
    log_final = last.nan_to_num(0.0, 0.0, 0.0).log_softmax(-1)
    finite = torch.isfinite(last).all(-1)
    top, kl, rank, probability = [], [], [], []
    for level, states in enumerate(hidden):
        logits = last if level == len(hidden) - 1 else unembed(states)
        finite &= torch.isfinite(logits).all(-1)
        log_p = logits.nan_to_num(0.0, 0.0, 0.0).log_softmax(-1)
        top.append(log_p.topk(top_k, -1).indices)
        kl.append(forward_kl(log_final, log_p))
        rank.append(middle_rank(log_p, gold))
        probability.append(log_p.gather(-1, gold[:, None])[:, 0].exp())
    stacked = [torch.stack(values, 1).cpu().numpy() for values in (top, kl, rank, probability)]
    return Lens(finite.cpu().numpy(), stacked[0], stacked[1], gold.cpu().numpy(), stacked[2], stacked[3])
