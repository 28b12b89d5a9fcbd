"""Primal-dual unlearning: flatten the logits on the forget set, under a constraint on the retain loss.

    L = mean over answer tokens of (max_v z - mean_v z)^2 + lambda (CE_r - epsilon)
    lambda <- max(0, lambda + eta (CE_r - epsilon)), once per optimizer step after the warm-up, from the step's CE_r

Range of the forget term [0, inf). The retain term is `gdr`, whose weight is the starting lambda (`retain_weight`, or
"pdu+100*gdr"); the constant epsilon has no gradient and is left out of the reported value. epsilon is the retain loss
that is allowed: somewhat above that of the model before unlearning (0.3 is the authors' for TOFU), for at 0 the
constraint cannot be met and lambda only grows. lambda rests for the first `warmup_epochs`. Source: Entesari et al. 2025
(arXiv 2506.05314); epsilon, eta and warm-up of open-unlearning's PDU, whose TOFU runs start at lambda 100 with eta 5.
Divergences: public code shifts its label mask by one (or averages over the prompt), and takes a dual step per
micro-batch, so that accumulation changes the algorithm.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def pdu(logits: Tensor) -> Tensor:
    """Squared margin of the largest logit over the mean logit at each token, (N,).

    >>> import torch
    >>> pdu(torch.tensor([[3.0, 0.0, 0.0]])).tolist()  # (3 - 1)^2
    [4.0]
    """
    return (logits.amax(dim=-1) - logits.mean(dim=-1)).square()


def dual_step(dual: float, retain_loss: float, *, epsilon: float, eta: float) -> float:
    """The multiplier after an optimizer step.

    >>> dual_step(1.0, 0.5, epsilon=0.25, eta=2.0)
    1.5
    >>> dual_step(0.1, 0.0, epsilon=0.25, eta=1.0)
    0.0
    """
    return max(0.0, dual + eta * (retain_loss - epsilon))


LOSS = Loss(
    side="forget",
    compute=pdu,
    per="token",
    implies=("gdr",),
    settings={"epsilon": 0.3, "eta": 1.0, "warmup_epochs": 5.0, "retain_weight": 1.0},
)
