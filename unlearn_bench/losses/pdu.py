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

from collections.abc import Mapping

from torch import Tensor

from unlearn_bench.losses.base import Loss, State


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


class DualVariable(State):
    """lambda, which is the weight of `gdr`: it moves at the end of each step behind the warm-up."""

    def __init__(self, *, epsilon: float, eta: float, warmup_epochs: float, **others: object) -> None:
        super().__init__(**others)
        self.epsilon = epsilon
        self.eta = eta
        self.warmup_epochs = warmup_epochs

    def after_step(self, terms: Mapping[str, float], weights: dict[str, float], epoch: float) -> Mapping[str, float]:
        """Log the lambda of this step as `dual`, and choose the next one; without a retain term it stays undefined."""
        if "gdr" not in terms:
            return {}
        used = weights["gdr"]
        if epoch >= self.warmup_epochs:
            weights["gdr"] = dual_step(used, terms["gdr"], epsilon=self.epsilon, eta=self.eta)
        return {"dual": used}

    def warning(self, epochs: float) -> str | None:
        """Whether lambda rests for the whole training."""
        if self.warmup_epochs < epochs:
            return None
        return (
            f"pdu: the dual variable rests for {self.warmup_epochs:g} epochs, which is the whole training; "
            "set --epochs above it, or --set pdu.warmup_epochs=N below"
        )


LOSS = Loss(
    side="forget",
    compute=pdu,
    per="token",
    implies=("gdr",),
    settings={"epsilon": 0.3, "eta": 1.0, "warmup_epochs": 5.0, "retain_weight": 1.0},
    not_negative=("epsilon", "warmup_epochs", "retain_weight"),
    state=DualVariable,
)
