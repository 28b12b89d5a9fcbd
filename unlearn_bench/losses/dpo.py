"""Direct preference optimization, a refusal (or any `preferred` answer) over the forget answer.

    L = - (2 / beta) mean_i log sigmoid(beta [(NLL_0 - NLL)(preferred_i) - (NLL_0 - NLL)(y_i)])

NLL is summed over the sequence, NLL_0 is the reference model's. Range (0, inf), 2 log(2) / beta at the start. Source:
Rafailov et al. 2023 (arXiv 2305.18290), eq. 7, with the factor 2 of NPO's paper (arXiv 2404.05868) so that
the methods share a scale; TOFU's IdkDPO. AltPO is this loss with answers that the model wrote itself. Divergences:
public code draws a new refusal at each access, unseeded; here each row keeps one refusal, chosen by the seed.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from unlearn_bench.losses.base import Loss


def dpo(
    nll: Tensor, reference_nll: Tensor, preferred_nll: Tensor, reference_preferred_nll: Tensor, *, beta: float = 0.1
) -> Tensor:
    """Loss of each pair of sequences, (S,).

    >>> import torch
    >>> one = torch.ones(1)
    >>> round(float(dpo(2 * one, one, one, 2 * one, beta=1.0)), 4)  # 2 log(1 + exp(-2))
    0.2539
    """
    preferred_gain = reference_preferred_nll - preferred_nll
    forget_gain = reference_nll - nll
    return -(2 / beta) * logsigmoid(beta * (preferred_gain - forget_gain))


LOSS = Loss(side="forget", compute=dpo, per="sequence", positive=("beta",))
