"""Gradient ascent.

    L = - CE(y_f) = mean over answer tokens of log p(y_t | x, y_<t)

Range (-inf, 0]; minimised without bound, which is why it wrecks the model. Source: Jang et al. 2023, "Knowledge
Unlearning for Mitigating Privacy Risks in Language Models"; TOFU (Maini et al. 2024, arXiv 2401.06121). Public code
agrees, but averages per micro-batch, so that accumulation changes the weight of short answers; here per step.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def ga(log_probs: Tensor) -> Tensor:
    """Log-probability of each answer token, (N,), to be minimised.

    >>> import torch
    >>> ga(torch.tensor([-0.5, -2.0])).tolist()
    [-0.5, -2.0]
    """
    return log_probs


LOSS = Loss(side="forget", compute=ga, per="token")
