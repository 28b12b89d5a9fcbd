"""What happens between the losses of a micro-batch and the optimizer's step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from unlearn_bench.trainers.trainer import UnlearnTrainer


class Step(Protocol):
    """A rule of the step: `STEP` of a module, made with the options in the module's `OPTIONS`.

    Attributes:
        direct: Call the model without its DDP wrapper, because the rule averages gradients over processes itself.
    """

    direct: bool

    def prepare(self, trainer: "UnlearnTrainer") -> None:
        """Before training, with the weights of the model before unlearning."""

    def backward(self, trainer: "UnlearnTrainer", losses: Mapping[str, Tensor]) -> None:
        """Gradients of one micro-batch; `losses` by side."""

    def finish(self, trainer: "UnlearnTrainer") -> None:
        """The gradients of the whole step are there, not clipped yet."""


class PlainStep:
    """Minimise the sum of all terms."""

    direct = False

    def prepare(self, trainer: "UnlearnTrainer") -> None:
        """Nothing to prepare."""

    def backward(self, trainer: "UnlearnTrainer", losses: Mapping[str, Tensor]) -> None:
        """Through accelerate, for mixed precision and DeepSpeed."""
        # DeepSpeed would divide by the number of micro-batches, which the counts have done already.
        deepspeed = {"scale_wrt_gas": False} if trainer.is_deepspeed_enabled else {}
        trainer.accelerator.backward(sum(losses.values()), **deepspeed)

    def finish(self, trainer: "UnlearnTrainer") -> None:
        """Nothing to change."""


def refuse_sharded(trainer: "UnlearnTrainer", name: str) -> None:
    """Refuse what a rule cannot do with parameters split over processes.

    Raises:
        UserError: under FSDP, DeepSpeed, or float16 with loss scaling.
    """
    from unlearn_bench.errors import UserError

    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UserError(f"{name} looks at whole parameters; FSDP and DeepSpeed split them", hint="use plain DDP")
    if trainer.args.fp16:
        raise UserError(f"{name} does not work with float16 loss scaling", hint="take --precision bf16 or fp32")
