"""UNDIAL: self-distillation from logits with the true token pushed down.

    L = mean over answer tokens of CE(softmax(z_0 - beta 1[y_t]), softmax(z))

z_0 are the reference model's logits. Range [0, inf). Source: Dong et al. 2024 (arXiv 2402.10052). Divergences:
public code has no label mask, and so penalises token V - 100 wherever the label is -100 and trains on the padding.
"""

from torch import Tensor
from torch.nn.functional import log_softmax, one_hot, softmax

from unlearn_bench.losses.base import Loss


def undial(logits: Tensor, labels: Tensor, reference_logits: Tensor, *, beta: float = 10.0) -> Tensor:
    """Cross entropy towards the adjusted teacher at each token, (N,).

    >>> import torch
    >>> z = torch.zeros(1, 2)
    >>> round(float(undial(z, torch.tensor([0]), z)), 4)  # log 2 for any teacher: the student is uniform
    0.6931
    """
    truth = one_hot(labels, logits.shape[-1]).to(logits.dtype)
    teacher = softmax(reference_logits - beta * truth, dim=-1)
    return -(teacher * log_softmax(logits, dim=-1)).sum(dim=-1)


LOSS = Loss(side="forget", compute=undial, per="token")
