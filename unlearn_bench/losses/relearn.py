"""ReLearn, forget side: plain cross entropy on augmented forget data mixed with generic data.

    L = CE(y) over (augmented forget data U generic data)

With `gdr` and `klr`, all weights 1, which the bare name implies. Range [0, inf). Source: ReLearn (Xu et al. 2025, arXiv
2502.11190), section 3. Divergences: the released trainer tests `loss_type in "relearn"`, a substring test, and its data
step also trains on the original sensitive pair; here the training file decides, and `augment` never writes that pair.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss


def relearn(log_probs: Tensor) -> Tensor:
    """Negative log-probability of each answer token, (N,).

    >>> import torch
    >>> relearn(torch.tensor([-0.5])).tolist()
    [0.5]
    """
    return -log_probs


LOSS = Loss(side="forget", compute=relearn, per="token", implies=("gdr", "klr"), replaces=True)
