"""Matrix products of decode steps on the CPU, with the weights laid out once as MKL wants them.

    y = x W^T + b        x (rows, 1, in), W (out, in)

For a product of few rows MKL spends more time on laying out W than on multiplying. Packed beforehand, as torch's own
inductor does when it freezes a model, a decode step of SmolLM2-135M takes 117 ms instead of 175 with 32 rows, and 74
instead of 146 with 8 (products only, one core of a Xeon with AVX-512). A product of any number of rows then has the
bits that the plain one has from 16 rows on, where MKL changes its kernel.

The packed weights are copies, and MKL takes them for one number of rows only; fewer rows are filled up.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST_WEIGHTS = 1 << 24  # in all; a smaller model stays in the processor's cache
_SMALLEST = 1 << 16  # weights of a layer; below it the call costs more than the product
_CONTAINER = Path("/sys/fs/cgroup")
_SHARE = 4  # packed copies take at most a quarter of the memory that is free


@contextmanager
def packed_for_decoding(model: "torch.nn.Module", rows: int) -> Iterator[None]:
    """Linear layers of a frozen model multiply up to `rows` rows with packed weights; its own are back afterwards.

    Nothing changes where that does not help or cannot be done: other devices, precisions and processors, small models,
    little memory. Layers with hooks, and subclasses (quantised), stay as they are.

    Args:
        model: In evaluation mode; its weights must not change inside.
        rows: Most rows in a decode step.
    """
    places = _places(model) if rows > 1 and _available() else []
    weights = sum(linear.weight.numel() for _, _, linear in places)
    if weights < LEAST_WEIGHTS or weights * 4 * _SHARE > _free_memory():
        places = []
    try:
        for parent, name, linear in places:
            setattr(parent, name, _packed(linear, rows))
        yield
    finally:
        for parent, name, linear in places:
            setattr(parent, name, linear)


def _places(model: "torch.nn.Module") -> list[tuple["torch.nn.Module", str, "torch.nn.Linear"]]:
    """(parent, name, layer) of the layers that are worth packing."""
    import torch

    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear
        and (child.weight.device.type, child.weight.dtype) == ("cpu", torch.float32)
        and child.weight.numel() >= _SMALLEST
        and not (child._forward_hooks or child._forward_pre_hooks)
    ]


def _available() -> bool:
    import torch

    return torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear")


def _free_memory() -> int:
    import psutil

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # what a container may use; "max" where it has no limit
        limit, used = (int((_CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used)
    return free


def _packed(linear: "torch.nn.Linear", rows: int) -> "torch.nn.Module":
    import torch
    from torch.nn.functional import pad

    class PackedLinear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.in_features, self.out_features = linear, linear.in_features, linear.out_features
            self.packed = torch.ops.mkl._mkl_reorder_linear_weight(linear.weight.detach(), rows)

        @property
        def weight(self) -> torch.Tensor:
            return self.linear.weight

        @property
        def bias(self) -> torch.Tensor | None:
            return self.linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, linear.in_features)
            given = len(flat)
            if not 1 < given <= rows:  # MKL's product of one row with a matrix reads the weights as they lie
                return linear(x)
            if given < rows:
                flat = pad(flat, (0, 0, 0, rows - given))
            product = torch.ops.mkl._mkl_linear(flat, self.packed, linear.weight, linear.bias, rows)
            return product[:given].view(*x.shape[:-1], linear.out_features)

    return PackedLinear()
