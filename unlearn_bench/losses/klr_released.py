"""The divergence as ReLearn's and TOFU's released code computes it: to reproduce their numbers, not to be preferred.

    L = mean over all B x T positions, prompt and padding included, of KL(p_theta_0 || p_theta)

Range [0, inf), 0 at the start. Source: zjunlp/unlearn baselines/src/iterative_trainer.py and locuslab/tofu
dataloader.py, `kl_div(log p_theta, log p_theta_0, reduction="batchmean", log_target=True)` on logits flattened to
(B T, V). Its value depends on how far the batch is padded; the paper's eq. 8 is `klr`.
"""

from torch import Tensor

from unlearn_bench.losses.base import Loss
from unlearn_bench.losses.klr import klr


def klr_released(all_logits: Tensor, reference_all_logits: Tensor) -> Tensor:
    """Divergence at each position, (P,), in nats.

    >>> import torch
    >>> p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    >>> round(float(klr_released(p, q)), 4)  # 0.25 log 0.5 + 0.75 log 1.5
    0.1308
    """
    return klr(all_logits, reference_all_logits, expectation="reference")


LOSS = Loss(side="retain", compute=klr_released, per="position")
