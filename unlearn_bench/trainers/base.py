"""What a rule of the optimizer step is, and what of the trainer it may use.

A rule acts between the losses of a micro-batch and the optimizer's step. It is a file here that defines `STEP`, a class
made with the options in the file's `OPTIONS`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import TrainingArguments

    from unlearn_bench.trainers._batches import Collator, PairedDataset
    from unlearn_bench.trainers.method import Method


class Training(Protocol):
    """The trainer, as rules of the step and callbacks see it."""

    model: nn.Module
    method: "Method"
    data: "PairedDataset"
    data_collator: "Collator"
    args: "TrainingArguments"
    accelerator: "Accelerator"
    weights: dict[str, float]
    is_fsdp_enabled: bool
    is_deepspeed_enabled: bool

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Elements of a batch as the method's terms count them, (3 groups, 4 kinds)."""

    def side_losses(self, model: nn.Module, batch: Mapping[str, Tensor], counts: Tensor) -> dict[str, Tensor]:
        """The weighted loss of each side over a batch, as this process's share of the step's."""

    def compute_loss_context_manager(self) -> AbstractContextManager:
        """Automatic mixed precision, where the run has it."""

    def forget_sums(self) -> None:
        """Drop what passes outside of training have summed up."""

    def check_gradients(self) -> None:
        """Refuse or leave out a step whose gradient is not finite."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the sampler follows."""

    def loss_state(self) -> dict[str, object]:
        """What the losses need in order to go on after an interruption."""

    def load_loss_state(self, saved: Mapping[str, object]) -> None:
        """Take up what `loss_state` gave."""


class Step(Protocol):
    """A rule of the step: `STEP` of a module, made with the options in the module's `OPTIONS`.

    Attributes:
        direct: Call the model without its DDP wrapper, because the rule averages gradients over processes itself.
    """

    direct: bool

    def prepare(self, trainer: Training) -> None:
        """Before training, with the weights of the model before unlearning."""

    def backward(self, trainer: Training, losses: Mapping[str, Tensor]) -> None:
        """Gradients of one micro-batch; `losses` by side."""

    def finish(self, trainer: Training) -> None:
        """The gradients of the whole step are there, not clipped yet."""


class PlainStep:
    """Minimise the sum of all terms."""

    direct = False

    def prepare(self, trainer: Training) -> None:
        """Nothing to prepare."""

    def backward(self, trainer: Training, losses: Mapping[str, Tensor]) -> None:
        """Through accelerate, for mixed precision and DeepSpeed."""
        # DeepSpeed would divide by the number of micro-batches, which the counts have done already.
        deepspeed = {"scale_wrt_gas": False} if trainer.is_deepspeed_enabled else {}
        trainer.accelerator.backward(sum(losses.values()), **deepspeed)

    def finish(self, trainer: Training) -> None:
        """Nothing to change."""


def refuse_sharded(trainer: Training, name: str) -> None:
    """Refuse what a rule cannot do with parameters split over processes.

    Raises:
        UserError: under FSDP, DeepSpeed, or float16 with loss scaling.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UserError(f"{name} looks at whole parameters; FSDP and DeepSpeed split them", hint="use plain DDP")
    if trainer.args.fp16:
        raise UserError(f"{name} does not work with float16 loss scaling", hint="take --dtype bfloat16 or float32")
