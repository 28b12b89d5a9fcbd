"""Train on a refusal in place of the forget answer ("IDK", refusal tuning).

    L = CE(refusal) = - mean over the refusal's tokens of log p

Range [0, inf). Source: TOFU (Maini et al. 2024, arXiv 2401.06121), refusals in place of answers. Divergences: public
code draws a new refusal at each access, unseeded; here each row keeps one, chosen by the seed.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def idk_nll(preferred_log_probs: Tensor) -> Tensor:
    """Negative log-probability of each token of the refusals, (N,).

    >>> import torch
    >>> idk_nll(torch.tensor([-0.5])).tolist()
    [0.5]
    """
    return -preferred_log_probs


LOSS = Loss(side="forget", compute=idk_nll, per="token", counted="preferred")
