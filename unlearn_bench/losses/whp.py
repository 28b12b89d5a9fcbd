"""Who's Harry Potter: distil generic predictions, made by moving away from a model reinforced on the forget set.

    v = z_0 - alpha relu(z_reinforced - z_0)
    L = mean over answer tokens of CE(softmax(v), softmax(z))

Range [0, inf). Source: Eldan and Russinovich 2023 (arXiv 2310.02238); alpha 1. Divergences: the paper trains on
the arg max of v after replacing names by a dictionary, MUSE's code keeps both models and combines their logits at every
generated token without a KV cache. Here the soft distribution is distilled, so that the result is a plain checkpoint.
"""

from torch import Tensor
from torch.nn.functional import log_softmax, relu, softmax

from unlearn_bench.losses.base import Loss


def whp(logits: Tensor, reference_logits: Tensor, reinforced_logits: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Cross entropy towards the generic prediction at each answer token, (N,).

    >>> import torch
    >>> z = torch.zeros(1, 2)
    >>> round(float(whp(z, z, torch.tensor([[9.0, 0.0]]))), 4)  # a uniform student: log 2
    0.6931
    """
    generic = reference_logits - alpha * relu(reinforced_logits - reference_logits)
    return -(softmax(generic, dim=-1) * log_softmax(logits, dim=-1)).sum(dim=-1)


LOSS = Loss(side="forget", compute=whp, per="token")
