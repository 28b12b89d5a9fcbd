"""Weighted gradient ascent: ascent that stops pushing tokens which are already improbable.

    L = mean over answer tokens of p_t^beta log p_t        (the weight p_t^beta carries no gradient)

Range [-1 / (e beta), 0], least at p = exp(-1 / beta); with beta 0 it is `ga`, without bound. Source: Wang et al. 2025
(arXiv 2502.19301). Divergences: public code loads a reference model that it never uses.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def wga(log_probs: Tensor, *, beta: float = 1.0) -> Tensor:
    """Weighted log-probability of each token, (N,), to be minimised.

    >>> import torch
    >>> round(float(wga(torch.tensor([0.5]).log())), 4)  # 0.5 log 0.5
    -0.3466
    """
    return log_probs.detach().exp().pow(beta) * log_probs


LOSS = Loss(side="forget", compute=wga, per="token")
