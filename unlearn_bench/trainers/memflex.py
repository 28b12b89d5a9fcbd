"""MemFlex: update only tensors where forgetting and retaining pull in different directions.

    L = 0.4 L_forget + 2.0 L_retain
    a tensor is updated in a step if cos(g_f, g_r) < 0.92 and mean |g_f| > 6e-4, g being its gradient of each side

Any terms of both sides ("memflex+npo+gdr"); the bare name is ga+gdr. Source: Tian et al. 2024 (KnowUnDo, arXiv
2407.01920); thresholds and weights of its released code. Divergences:
- KnowUnDo's authors choose the tensors once, before training, from gradients on both sets with half of the labels
  replaced at random. Here, as in zjunlp/unlearn, they are chosen at every step from the gradients of the losses.
- zjunlp/unlearn takes the cosine with the gradient of +CE on the forget set; here g_f is the gradient of the forget
  loss that is minimised, which for `ga` is -CE: the cosine has the other sign.
- zjunlp/unlearn chooses again in every micro-batch and zeroes what earlier ones accumulated, which defeats gradient
  accumulation, and its AdamW still moves left-out tensors by their momentum. Here both gradients are accumulated over
  the whole step and over all processes before the choice is made, and a tensor that is left out has no gradient, so
  that the optimizer skips it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from unlearn_bench.errors import UserError
from unlearn_bench.trainers.base import Training, refuse_sharded

DEFAULT_TERMS = "ga+gdr"
SIDE_WEIGHTS = {"forget": 0.4, "retain": 2.0}
OPTIONS = {"cosine": 0.92, "gradient": 6e-4}


class MemFlexStep:
    """Keeps the gradients of both sides apart until the step is complete.

    Args:
        cosine: A tensor whose gradients agree more than this is left out.
        gradient: A tensor whose mean absolute forget gradient is at most this is left out.
    """

    # Gradients are taken with autograd.grad, which DDP's averaging does not see.
    direct = True

    def __init__(self, *, cosine: float = 0.92, gradient: float = 6e-4) -> None:
        self.cosine = cosine
        self.gradient = gradient
        self.chosen: list[str] = []
        self._sides: dict[str, dict[str, Tensor]] = {}

    def prepare(self, trainer: Training) -> None:
        """Check that there are two sides to compare.

        Raises:
            UserError: if one side has no term, or parameters are sharded.
        """
        refuse_sharded(trainer, "memflex")
        if not trainer.method.on("forget") or not trainer.method.on("retain"):
            raise UserError("memflex compares a forget with a retain gradient", hint="example: memflex+npo+gdr")

    def backward(self, trainer: Training, losses: Mapping[str, Tensor]) -> None:
        """Add the micro-batch's gradient of each side to that side's own sum."""
        named = [(name, p) for name, p in _trained(trainer)]
        last = list(losses)[-1]
        for side, loss in losses.items():
            gradients = torch.autograd.grad(loss, [p for _, p in named], retain_graph=side != last, allow_unused=True)
            sums = self._sides.setdefault(side, {})
            for (name, _), gradient in zip(named, gradients, strict=True):
                if gradient is not None:
                    sums[name] = sums[name].add_(gradient) if name in sums else gradient.detach().clone()

    def finish(self, trainer: Training) -> None:
        """Choose the tensors; give them the gradient of both sides, and the others none."""
        forget, retain = (self._averaged(trainer, side) for side in ("forget", "retain"))
        # The sides carry their weights; the thresholds are about the gradients of the unweighted losses.
        scale = {side: _side_weight(trainer, side) for side in ("forget", "retain")}
        self.chosen = []
        for name, parameter in _trained(trainer):
            g_f, g_r = forget.get(name), retain.get(name)
            parameter.grad = None
            if g_f is None or g_r is None:
                continue
            if is_located(g_f / scale["forget"], g_r / scale["retain"], cosine=self.cosine, gradient=self.gradient):
                self.chosen.append(name)
                parameter.grad = g_f + g_r
        self._sides = {}

    def _averaged(self, trainer: Training, side: str) -> dict[str, Tensor]:
        sums = self._sides.get(side, {})
        if trainer.args.world_size == 1:
            return sums
        return {name: trainer.accelerator.reduce(sums[name], reduction="mean") for name in sorted(sums)}


def is_located(forget: Tensor, retain: Tensor, *, cosine: float = 0.92, gradient: float = 6e-4) -> bool:
    """Whether a tensor is updated.

    Args:
        forget: The tensor's gradient of the forget loss.
        retain: Its gradient of the retain loss, of the same shape.
        cosine: Updated if the gradients' cosine is below this.
        gradient: Updated if the mean absolute forget gradient is above this.

    >>> is_located(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    True
    >>> is_located(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]))
    False
    """
    similarity = torch.nn.functional.cosine_similarity(forget.flatten().float(), retain.flatten().float(), dim=0)
    return bool(similarity < cosine) and bool(forget.abs().mean() > gradient)


def _trained(trainer: Training) -> list[tuple[str, Tensor]]:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _side_weight(trainer: Training, side: str) -> float:
    """The weight a side's loss carries: of its first term, which is the whole side for the paper's methods."""
    return trainer.weights[trainer.method.on(side)[0].name]


STEP = MemFlexStep
