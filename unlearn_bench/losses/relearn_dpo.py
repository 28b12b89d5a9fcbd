"""ReLearn with preferences: the augmented answer preferred to the original one.

    L = - (2 / beta) mean_i log sigmoid(beta [(NLL_0 - NLL)(augmented_i) - (NLL_0 - NLL)(original_i)])

Range (0, inf), 2 log(2) / beta at the start. Source: ReLearn (arXiv 2502.11190), its DPO variant. Divergences: the
released code takes the mean loss of the whole batch where DPO needs the sum of each sequence.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss
from unlearn_bench.losses.dpo import dpo


def relearn_dpo(
    nll: Tensor, reference_nll: Tensor, preferred_nll: Tensor, reference_preferred_nll: Tensor, *, beta: float = 0.1
) -> Tensor:
    """Loss of each pair, (S,): `nll` of the original answer, `preferred_nll` of the augmented one.

    >>> import torch
    >>> one = torch.ones(1)
    >>> round(float(relearn_dpo(one, one, one, one)), 4)  # 20 log 2
    13.8629
    """
    return dpo(nll, reference_nll, preferred_nll, reference_preferred_nll, beta=beta)


LOSS = Loss(side="forget", compute=relearn_dpo, per="sequence", positive=("beta",), forgets="original")
