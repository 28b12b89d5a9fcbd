"""SURE: unlearn in the most affected neurons only, with a large step that survives quantization.

    s_i = || gradient of L_forget at theta_0 with respect to row i of a weight matrix ||
    row i is updated if s_i is above the given percentile of all rows, and stays as it was otherwise

Any terms ("sure+ga+gdr"); the bare name is npo+gdr. A neuron is a row of a matrix inside the blocks; with LoRA, a row
of `lora_B`, which is a row of the weight's change. Embeddings, output head, norms and biases are frozen. Source:
"Catastrophic Failure of LLM Unlearning via Quantization" (arXiv 2410.16454), percentile 90 to 99. Divergences: the
released code ranks every parameter together, embeddings, head, norms and (LoRA) `lora_A` included, and so chooses
other neurons; public code puts the mask into a hook that is never called, or applies it after the optimizer made its
own copy, and counts the forget gradient twice or with the wrong sign. Here the gradient of the whole forget set is
taken once, before training, rows are masked before clipping, and weight decay (which also moves masked rows) is
refused.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unlearn_bench.errors import UserError
from unlearn_bench.trainers._batches import FILLER
from unlearn_bench.trainers.base import PlainStep, Training, refuse_sharded

DEFAULT_TERMS = "npo+gdr"
OPTIONS = {"percentile": 99.0}


class SureStep(PlainStep):
    """Masks the gradients of rows that matter little for the forget set.

    Args:
        percentile: Share of rows that stay as they are, in percent, in [0, 100).
    """

    def __init__(self, *, percentile: float = 99.0) -> None:
        if not 0 <= percentile < 100:
            raise UserError(f"sure.percentile must be in [0, 100), got {percentile}")
        self.percentile = percentile
        self.masks: dict[str, Tensor] = {}

    def prepare(self, trainer: Training) -> None:
        """Take the gradient of the forget terms over the whole forget set, and choose the rows.

        Raises:
            UserError: with weight decay, without a forget term, or with sharded parameters.
        """
        refuse_sharded(trainer, "sure")
        if trainer.args.weight_decay:
            raise UserError("sure: weight decay would move the rows that must stay", hint="pass --weight-decay 0")
        if not trainer.method.on("forget"):
            raise UserError("sure needs a forget term", hint="example: sure+npo+gdr")
        parameters = _neurons(trainer.model)
        _forget_gradient(trainer)
        self.masks = neuron_masks({name: p.grad for name, p in parameters.items()}, self.percentile)
        trainer.model.zero_grad(set_to_none=True)
        for name, parameter in trainer.model.named_parameters():
            if name not in self.masks and "lora_A" not in name:
                parameter.requires_grad_(False)  # the optimizer, made later, keeps no moments for it

    def finish(self, trainer: Training) -> None:
        """Zero the gradient of rows that stay."""
        for name, parameter in trainer.accelerator.unwrap_model(trainer.model).named_parameters():
            if name in self.masks and parameter.grad is not None:
                parameter.grad.mul_(self.masks[name].to(parameter.grad.device))


def neuron_masks(gradients: Mapping[str, Tensor], percentile: float) -> dict[str, Tensor]:
    """Which rows are above the percentile of the row norms of all matrices together.

    Args:
        gradients: Name to (rows, columns).
        percentile: In [0, 100).

    Returns:
        Name to (rows, 1), bool.

    >>> masks = neuron_masks({"w": torch.tensor([[3.0, 4.0], [0.0, 1.0]])}, 50.0)
    >>> masks["w"].flatten().tolist()
    [True, False]
    """
    norms = {name: gradient.flatten(1).float().norm(dim=1) for name, gradient in gradients.items()}
    threshold = torch.quantile(torch.cat(list(norms.values())).double().cpu(), percentile / 100)
    return {name: (norm.double().cpu() > threshold).unsqueeze(1).to(norm.device) for name, norm in norms.items()}


def _neurons(model: nn.Module) -> dict[str, Tensor]:
    outer = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    excluded = {id(p) for module in outer for p in module.parameters()}
    chosen = {
        name: p
        for name, p in model.named_parameters()
        if p.requires_grad and p.ndim == 2 and id(p) not in excluded and "lora_A" not in name
    }
    if not chosen:
        raise UserError("sure: no weight matrix inside the blocks is trained")
    return chosen


def _forget_gradient(trainer: Training) -> None:
    """Leave the gradient of the forget terms at theta_0, over every forget row once, in the parameters."""
    size = trainer.args.per_device_train_batch_size
    rows = range(len(trainer.data))
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    collated = [trainer.data_collator([trainer.data[(i, FILLER)] for i in batch]) for batch in batches]
    counts = sum(trainer.count(batch) for batch in collated).to(trainer.args.device)
    trainer.model.eval()  # no dropout: the choice must not depend on chance
    for batch in collated:
        batch = {key: value.to(trainer.args.device) for key, value in batch.items()}
        with trainer.compute_loss_context_manager():
            loss = trainer.side_losses(trainer.model, batch, counts)["forget"]
        loss.backward()
    trainer.forget_sums()
    trainer.model.train()


STEP = SureStep
