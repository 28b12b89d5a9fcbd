"""Gradient descent on the retain set.

    L = CE(y_r) = - mean over answer tokens of log p(y_t | x, y_<t)

Range [0, inf). Source: TOFU (arXiv 2401.06121), "gradient difference"; ReLearn (arXiv 2502.11190). Divergences:
public code pays for this forward pass even where its weight is 0; here a term of weight 0 is not computed.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def gdr(log_probs: Tensor) -> Tensor:
    """Negative log-probability of each answer token, (N,).

    >>> import torch
    >>> gdr(torch.tensor([-0.5])).tolist()
    [0.5]
    """
    return -log_probs


LOSS = Loss(side="retain", compute=gdr, per="token")
