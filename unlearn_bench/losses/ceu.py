"""Cross-entropy unlearning: towards the model's own distribution with the true token removed.

    L = mean over answer tokens of CE(softmax(z with z_y = -inf, detached), softmax(z))

Range [0, inf). Source: Yang 2025 (arXiv 2503.01224). Divergences: public code gives NaN for a batch without
answer tokens; here an empty batch contributes nothing.
"""

from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from unlearn_bench.losses._base import Loss


def ceu(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy towards the distribution without the true token, (N,).

    >>> import torch
    >>> round(float(ceu(torch.tensor([[0.0, 0.0, -30.0]]), torch.tensor([0]))), 4)  # the target is the second token
    0.6931
    """
    without = logits.detach().scatter(-1, labels.unsqueeze(-1), float("-inf"))
    return -(softmax(without, dim=-1) * log_softmax(logits, dim=-1)).sum(dim=-1)


LOSS = Loss(side="forget", compute=ceu, per="token")
