"""Logit lens: what each layer would say, "knowledge memory".

    p_l           = softmax(unembed(norm(h_l)))               h_l: residual stream after block l; h_0: the embedding
    KL_l          = KL(p_L || p_l) = sum_v p_L,v (log p_L,v - log p_l,v)      nats, 0 at l = L
    jump          = max_l>1 (KL_(l-1) - KL_l), and its l      how suddenly the answer forms
    formation     = min_l>0 {l : argmax p_m = argmax p_L for all m >= l}      the layer where the final answer forms
    best rank     = min_l>0 rank_l(gold)
    residual      = the output does not say gold (argmax p_L != gold), but best rank <= `residual_rank`

Source: section 5.2, "knowledge memory", of ReLearn (arXiv 2502.11190); lens: nostalgebraist 2020; the direction of the
divergence is the forward KL of Tuned Lens (arXiv 2303.08112, the final layer's distribution first). The layers share
the final norm and unembedding, nothing is trained. The embedding is shown but is not a layer: with tied embeddings it
only repeats the token that was read, and its distance to the final layer would hide every jump. Early layers speak
another basis: compare with the original or the oracle, do not read one curve alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn_bench.diagnostics.token_distribution import log_probabilities, middle_rank

RESIDUAL_RANK = 5.0  # in the top 5 of some layer


@dataclass(frozen=True)
class Lens:
    """What was read at each asked position; arrays (asked, layers + 1), level 0 is the embedding.

    Attributes:
        finite: False where some layer's logits make no distribution, or one infinitely far from the final, (asked,).
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
    terms = log_final.exp() * (log_final - log_layer)
    # What the final layer holds impossible adds nothing; what only the other does is infinite.
    return torch.where(log_final == -torch.inf, 0.0, terms).sum(-1).clamp(min=0)


def formation_layer(top: np.ndarray) -> np.ndarray:
    """First layer from which on the top-1 token, (..., layers + 1), is the final one; the embedding does not count.

    >>> formation_layer(np.array([[4, 7, 9, 9], [9, 4, 4, 9], [9, 9, 9, 9]])).tolist()
    [2, 3, 1]
    """
    layers = np.asarray(top)[..., 1:]
    stays = np.cumprod((layers == layers[..., -1:])[..., ::-1], axis=-1).sum(-1)
    return layers.shape[-1] - stays + 1


def largest_jump(kl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest drop of KL (..., layers + 1) from one layer to the next, and the layer it arrives at.

    >>> size, layer = largest_jump(np.array([9.0, 5.0, 4.5, 1.0, 0.0]))
    >>> float(size), int(layer)
    (3.5, 3)
    """
    drops = -np.diff(kl[..., 1:], axis=-1)
    if not drops.shape[-1]:
        return np.zeros(kl.shape[:-1]), np.ones(kl.shape[:-1], int)
    return drops.max(-1), drops.argmax(-1) + 2


def best_rank(rank: np.ndarray) -> np.ndarray:
    """Best rank of gold in any layer, from ranks (..., layers + 1); the embedding does not count."""
    return rank[..., 1:].min(-1)


def residual(rank: np.ndarray, says_gold: np.ndarray, *, residual_rank: float = RESIDUAL_RANK) -> np.ndarray:
    """Where the output does not say gold, but some layer ranks it `residual_rank` or better; (..., layers + 1)."""
    return ~says_gold & (best_rank(rank) <= residual_rank)


def measure(hidden: Sequence[Tensor], gold: Tensor, unembed: Callable[[Tensor], Tensor], *, top_k: int = 5) -> Lens:
    """Read every level at the asked positions; only one level's logits and the final ones are in memory.

    Args:
        hidden: Residual stream per level, each (asked, d); the embedding first.
        gold: Token ids of the reference answer, (asked,).
        unembed: Residual stream to float32 logits.
        top_k: How many top tokens are kept per level.
    """
    last = unembed(hidden[-1])
    finite, log_final = log_probabilities(last)
    top, kl, rank, probability = [], [], [], []
    for level, states in enumerate(hidden):
        logits = last if level == len(hidden) - 1 else unembed(states)
        usable, log_p = log_probabilities(logits)
        top.append(log_p.topk(top_k, -1).indices)
        kl.append(forward_kl(log_final, log_p))
        finite = finite & usable & kl[-1].isfinite()
        rank.append(middle_rank(log_p, gold))
        probability.append(log_p.gather(-1, gold[:, None])[:, 0].exp())
    stacked = [torch.stack(values, 1).cpu().numpy() for values in (top, kl, rank, probability)]
    return Lens(finite.cpu().numpy(), stacked[0], stacked[1], gold.cpu().numpy(), stacked[2], stacked[3])
