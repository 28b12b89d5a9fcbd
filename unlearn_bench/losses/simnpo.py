"""SimNPO: negative preference optimization without a reference model, normalised by length.

    L = - (2 / beta) mean_i log sigmoid(beta (NLL_i / |y_i| - delta))

Range (0, inf). Default weight 0.125 beside a retain term of weight 1. Source: Fan et al. 2024 (arXiv 2410.07163)
(its margin gamma / beta is delta here). Divergences: public code divides by |y_i| = 0 for an empty answer; a sequence
without answer tokens is left out here, so the quotient always exists.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from unlearn_bench.losses.base import Loss


def simnpo(nll: Tensor, lengths: Tensor, *, beta: float = 4.5, delta: float = 0.0) -> Tensor:
    """Loss of each sequence, (S,).

    >>> import torch
    >>> round(float(simnpo(torch.tensor([2.0]), torch.tensor([4.0]), beta=2.0)), 4)  # log(1 + 1/e)
    0.3133
    """
    return -(2 / beta) * logsigmoid(beta * (nll / lengths - delta))


LOSS = Loss(side="forget", compute=simnpo, per="sequence", weight=0.125, positive=("beta",))
