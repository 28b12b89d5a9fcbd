"""Matrix products of a frozen model on the CPU, with the weights laid out once as oneDNN wants them.

    y = x W^T + b        x (..., in), W (out, in), b (out)

torch's float32 products on the CPU are MKL's, which uses half of the vector unit of an AMD processor with AVX-512
(95 against 215 GFLOP/s on one core of a Zen 5). oneDNN uses all of it, and a weight packed beforehand, as torch's own
inductor does when it freezes a model, also spares small products a copy of the weight. Still float32: sums are in
another order, and results differ in the last digits only (about 1e-7).
"""

from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

M = TypeVar("M", bound="torch.nn.Module")

_SMALLEST = 1 << 16  # weights; below it the call costs more than the product


def pack_linear_layers(model: M) -> M:
    """Replace the big linear layers of a model that is only to be read from; other processors keep what they have.

    The packed weights are copies: who changes a weight of the model afterwards must not expect it to be seen.

    Args:
        model: In evaluation mode, on the device where it stays.

    Returns:
        The same model.
    """
    if _supported():
        import torch

        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                # Subclasses (quantised, adapters) have a forward of their own.
                if type(child) is torch.nn.Linear and _worth_packing(child.weight):
                    setattr(module, name, _layer()(child))
    return model


def _supported() -> bool:
    import torch

    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _worth_packing(weight: "torch.Tensor") -> bool:
    import torch

    return weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= _SMALLEST


@cache
def _layer() -> type:
    import torch

    class PackedLinear(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
            self.bias = None if linear.bias is None else linear.bias.detach()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(x.contiguous(), self.weight, self.bias, "none", [], "")

    return PackedLinear
