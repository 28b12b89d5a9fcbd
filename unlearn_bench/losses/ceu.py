"""Cross-entropy unlearning: towards the model's own distribution with the true token removed.

    L = mean over answer tokens but the first of CE(softmax(z with z_y = -inf, detached), softmax(z))

Range [0, inf). Source: Yang 2025 (arXiv 2503.01224); that the first answer token is left out is a footnote of its
training settings (`ignore_first` 1, as in open-unlearning; 0 takes every token). Divergences: public code gives NaN for
a batch without answer tokens; here an empty batch contributes nothing.
"""

from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from unlearn_bench.losses.base import Loss


def ceu(logits: Tensor, labels: Tensor, places: Tensor, *, ignore_first: int = 1) -> Tensor:
    """Cross entropy towards the distribution without the true token, (N,), 0 for the tokens that are ignored.

    >>> import torch
    >>> z = torch.tensor([[0.0, 0.0, -30.0]])
    >>> round(float(ceu(z, torch.tensor([0]), torch.tensor([1]))), 4)  # the target is the second token
    0.6931
    """
    without = logits.detach().scatter(-1, labels.unsqueeze(-1), float("-inf"))
    each = -(softmax(without, dim=-1) * log_softmax(logits, dim=-1)).sum(dim=-1)
    return each.masked_fill(places < ignore_first, 0.0)


LOSS = Loss(side="forget", compute=ceu, per="later_token", not_negative=("ignore_first",))
