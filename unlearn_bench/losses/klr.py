"""Kullback-Leibler divergence from the original model on the retain set.

    L = mean over answer tokens of KL(p_theta || p_theta_0) = mean_t sum_v p_theta (log p_theta - log p_theta_0)

Range [0, inf), 0 at the start. Source: ReLearn (arXiv 2502.11190), eq. 8. Divergences: the released code computes
KL(p_theta_0 || p_theta) (`expectation="reference"`) and also averages over prompt and padding (`klr_released`: both).
"""

from typing import Literal

from torch import Tensor
from torch.nn.functional import log_softmax

from unlearn_bench.losses.base import Loss


def klr(logits: Tensor, reference_logits: Tensor, *, expectation: Literal["policy", "reference"] = "policy") -> Tensor:
    """Divergence at each answer token, (N,), in nats.

    Args:
        logits: (N, V) of the model in training.
        reference_logits: (N, V) of the model before unlearning.
        expectation: Whose distribution the expectation is taken over: the paper's "policy", or "reference".

    >>> import torch
    >>> p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    >>> round(float(klr(p, q)), 4)  # 0.5 log 2 + 0.5 log(2/3)
    0.1438
    >>> round(float(klr(p, q, expectation="reference")), 4)  # 0.25 log 0.5 + 0.75 log 1.5
    0.1308
    """
    log_p, log_q = log_softmax(logits, dim=-1), log_softmax(reference_logits, dim=-1)
    if expectation == "reference":
        log_p, log_q = log_q, log_p
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


LOSS = Loss(side="retain", compute=klr, per="token")
