"""Representation misdirection for unlearning, retain side.

    L = mean over answer tokens of || h_l(theta) - h_l(theta_0) ||^2 / d

Range [0, inf), 0 at the start. Source: Li et al. 2024 (WMDP, arXiv 2403.03218), weight alpha; the layer is
`rmu`'s. Divergences: the original code's alpha is 1200 for its data; here 1, as TOFU's implementations take.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def rmu_retain(hidden: Tensor, reference_hidden: Tensor) -> Tensor:
    """Squared distance per dimension of each token's state from the reference's, (N,).

    >>> import torch
    >>> rmu_retain(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).tolist()
    [1.0]
    """
    return (hidden - reference_hidden).square().mean(dim=-1)


LOSS = Loss(side="retain", compute=rmu_retain, per="token", settings={"layer": 7})
