"""Token distribution: the "probability seesaw", read at answer positions.

    H(p)      = -sum_v p_v log p_v                                    entropy, nats, [0, log V]
    mass_k(p) = sum of the k largest p_v                              (0, 1]
    rank(v)   = 1 + #{p_u > p_v} + (#{p_u = p_v} - 1) / 2             1 is best; ties share the middle rank
    JSD(p,q)  = H((p + q) / 2) - (H(p) + H(q)) / 2                    nats, [0, log 2], 0 = the same distribution

Source: section 5.2, "knowledge distribution", of ReLearn (arXiv 2502.11190), which shows pictures of single prompts.
The paper names two ways in which probability moves from the true answer; here they are counted over a set:
*flattened*: H(p) - H(original) > `flattened_margin`; *re-peaked*: not flattened, but another token than the
original's top one holds at least `repeaked_mass`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FLATTENED_MARGIN = 1.0  # nats: the choice is as wide as among e times more tokens
REPEAKED_MASS = 0.5  # one wrong token holds the majority


@dataclass(frozen=True)
class Distribution:
    """What was measured at each asked position; arrays (asked,), `top_*` (asked, k).

    Attributes:
        finite: False where the logits make no distribution (a broken model); the other values mean nothing there.
        gold, gold_rank, gold_probability: The reference answer's token (id), its mid-rank and probability.
        anchor_rank, anchor_probability, divergence, original_entropy: Of the original's top-1 token; JSD to it; None
            without an original.
    """

    finite: np.ndarray
    entropy: np.ndarray
    top_mass: np.ndarray
    top_ids: np.ndarray
    top_probabilities: np.ndarray
    gold: np.ndarray
    gold_rank: np.ndarray
    gold_probability: np.ndarray
    anchor: np.ndarray | None = None
    anchor_rank: np.ndarray | None = None
    anchor_probability: np.ndarray | None = None
    divergence: np.ndarray | None = None
    original_entropy: np.ndarray | None = None
    original_top_ids: np.ndarray | None = None
    original_top_probabilities: np.ndarray | None = None

    @property
    def says_gold(self) -> np.ndarray:
        """Whether the gold token is the most probable one."""
        return self.top_ids[:, 0] == self.gold


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-softmax of logits (..., V), and where they make a distribution: no NaN, minus infinity at most.

    >>> usable, log_p = log_probabilities(torch.tensor([[0.0, 0.0, -torch.inf], [torch.nan, 0.0, 0.0]]))
    >>> usable.tolist(), log_p[0].exp().tolist()
    ([True, False], [0.5, 0.5, 0.0])
    """
    usable = ((logits < torch.inf).all(-1)) & (logits > -torch.inf).any(-1)
    return usable, torch.where(usable[..., None], logits, 0.0).log_softmax(-1)


def entropy(log_p: Tensor) -> Tensor:
    """Entropy in nats of log-probabilities (..., V).

    >>> round(entropy(torch.tensor([0.5, 0.5, 0.0]).log()).item(), 4)  # log 2
    0.6931
    """
    return -(log_p.exp() * log_p).nan_to_num(nan=0.0, neginf=0.0).sum(-1)


def middle_rank(scores: Tensor, token: Tensor) -> Tensor:
    """Rank of a token among scores (..., V), 1 is best; ties share the middle rank: a flat model ranks nothing first.

    >>> middle_rank(torch.tensor([[3.0, 1.0, 1.0]]), torch.tensor([1])).tolist()
    [2.5]
    """
    own = scores.gather(-1, token[..., None])
    return 1 + (scores > own).sum(-1) + ((scores == own).sum(-1) - 1) / 2


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats of log-probabilities (..., V).

    >>> p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> round(jensen_shannon(p.log(), q.log()).item(), 4)  # disjoint: log 2
    0.6931
    """
    middle = torch.logaddexp(log_p, log_q) - np.log(2)
    return (entropy(middle) - (entropy(log_p) + entropy(log_q)) / 2).clamp(min=0)


def flattened(entropy: np.ndarray, original: np.ndarray, *, margin: float = FLATTENED_MARGIN) -> np.ndarray:
    """Where the entropy, (asked,) in nats, is more than `margin` above the original's, (asked,); bool (asked,)."""
    return entropy - original > margin


def repeaked(
    flat: np.ndarray,
    top_id: np.ndarray,
    top_probability: np.ndarray,
    anchor: np.ndarray,
    *,
    mass: float = REPEAKED_MASS,
) -> np.ndarray:
    """Where another token than the original's top one holds at least `mass`, and the distribution is not flattened.

    Args:
        flat: What `flattened` found, bool (asked,).
        top_id: The most probable token, (asked,).
        top_probability: Its probability, (asked,).
        anchor: The original's most probable token, (asked,).
        mass: In (0, 1].

    Returns:
        bool, (asked,).
    """
    return ~flat & (top_id != anchor) & (top_probability >= mass)


def measure(logits: Tensor, gold: Tensor, original_logits: Tensor | None = None, *, top_k: int = 5) -> Distribution:
    """Measure asked positions.

    Args:
        logits: (asked, V), float32.
        gold: Token ids of the reference answer, (asked,).
        original_logits: Of the original, (asked, V), at the same positions after the same tokens.
        top_k: How many candidates are kept.
    """
    finite, log_p = log_probabilities(logits)
    probabilities, ids = log_p.topk(top_k, -1)
    probabilities = probabilities.exp()
    compared = {} if original_logits is None else _compare(log_p, original_logits, top_k)
    return Distribution(
        finite=finite.cpu().numpy(),
        entropy=_numpy(entropy(log_p)),
        top_mass=_numpy(probabilities.sum(-1).clamp(max=1)),
        top_ids=ids.cpu().numpy(),
        top_probabilities=_numpy(probabilities),
        gold=gold.cpu().numpy(),
        gold_rank=_numpy(middle_rank(log_p, gold)),
        gold_probability=_numpy(log_p.gather(-1, gold[:, None])[:, 0].exp()),
        **compared,
    )


def _compare(log_p: Tensor, original_logits: Tensor, top_k: int) -> dict[str, np.ndarray]:
    _, log_q = log_probabilities(original_logits)
    top, ids = log_q.topk(top_k, -1)
    anchor = ids[:, 0]
    return {
        "anchor": anchor.cpu().numpy(),
        "anchor_rank": _numpy(middle_rank(log_p, anchor)),
        "anchor_probability": _numpy(log_p.gather(-1, anchor[:, None])[:, 0].exp()),
        "divergence": _numpy(jensen_shannon(log_p, log_q)),
        "original_entropy": _numpy(entropy(log_q)),
        "original_top_ids": ids.cpu().numpy(),
        "original_top_probabilities": _numpy(top.exp()),
    }


def _numpy(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
