"""Representation misdirection for unlearning, forget side.

    L = mean over answer tokens of || h_l(theta) - c u ||^2 / d        u: a fixed random unit vector

Range [0, inf). With its retain side `rmu_retain`, which the bare name implies. Source: Li et al. 2024 (WMDP, arXiv
2403.03218); layer 7 of a 7B model, c 6.5 for zephyr-7b (their script's default is 20, open-unlearning's on TOFU 2),
updating only the MLP output matrices of layers l-2, l-1, l (the trainer's default with full fine-tuning). Divergences:
public code keeps the gradients of the whole model, draws u uniformly from the positive orthant and does not save it,
and some averages over the prompt, too. Here u is drawn from that same orthant by the run's seed and saved with the
model.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def rmu(hidden: Tensor, direction: Tensor, *, coefficient: float = 2.0) -> Tensor:
    """Squared distance per dimension of each token's state from the target, (N,).

    >>> import torch
    >>> rmu(torch.tensor([[1.0, 0.0]]), torch.tensor([0.0, 1.0])).tolist()  # (1 + 4) / 2
    [2.5]
    """
    return (hidden - coefficient * direction).square().mean(dim=-1)


def output_matrices(*, layer: int, **others: object) -> tuple[str, ...]:
    r"""The MLP output matrices of the layer and of the two before it.

    >>> print(*output_matrices(layer=1))
    layers\.(0|1)\.mlp\.down_proj\.weight
    """
    del others
    layers = "|".join(str(i) for i in range(max(0, layer - 2), layer + 1))
    return (rf"layers\.({layers})\.mlp\.down_proj\.weight",)


LOSS = Loss(
    side="forget",
    compute=rmu,
    per="token",
    implies=("rmu_retain",),
    settings={"layer": 7},
    trainable=output_matrices,
)
