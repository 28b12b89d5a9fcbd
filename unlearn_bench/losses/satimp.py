"""SatImp: gradient ascent reweighted by saturation and importance.

    L = mean over answer tokens of p_t^beta1 (1 - p_t)^beta2 log p_t        (the weights carry no gradient)

Range within [-1 / (e beta1), 0]. Source: Yang et al. 2025 (arXiv 2505.11953), whose forget loss weighs ten times the
retain loss: a retain term beside it that is given no weight has the authors' 0.1 (`retain_weight`). Divergences:
open-unlearning's configuration has the two weights the other way round (0.1 and 1), its README and code as here; public
code loads a reference model that it never uses.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def satimp(log_probs: Tensor, *, beta1: float = 5.0, beta2: float = 1.0) -> Tensor:
    """Weighted log-probability of each token, (N,), to be minimised.

    >>> import torch
    >>> round(float(satimp(torch.tensor([0.5]).log())), 5)  # 0.5^5 * 0.5 * log 0.5
    -0.01083
    """
    probability = log_probs.detach().exp()
    return probability.pow(beta1) * (1 - probability).pow(beta2) * log_probs


LOSS = Loss(
    side="forget", compute=satimp, per="token", settings={"retain_weight": 0.1}, not_negative=("retain_weight",)
)
