"""Negative preference optimization.

    L = - (2 / beta) mean_i log sigmoid(beta (NLL_i(theta) - NLL_i(theta_0)))

NLL_i is the sum over the answer tokens of sequence i. Range (0, inf), 2 log(2) / beta at the start; bounded below, so
that it diverges more slowly than gradient ascent. Source: Zhang et al. 2024 (arXiv 2404.05868), eq. 3. Divergences:
the code of MUSE and of SURE puts vocabulary logits where the NLL belongs.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from unlearn_bench.losses.base import Loss


def npo(nll: Tensor, reference_nll: Tensor, *, beta: float = 0.1) -> Tensor:
    """Loss of each sequence, (S,).

    >>> import torch
    >>> round(float(npo(torch.tensor([3.0]), torch.tensor([3.0]))), 4)  # 20 log 2: nothing learned yet
    13.8629
    """
    return -(2 / beta) * logsigmoid(beta * (nll - reference_nll))


LOSS = Loss(side="forget", compute=npo, per="sequence", positive=("beta",))
