"""Matrix products of decode steps on the CPU, with the weights laid out once as MKL wants them.

    y = x W^T + b        x (rows, 1, in), W (out, in)

For a product of few rows MKL spends more time on laying out W than on multiplying. Packed beforehand, as torch's own
inductor does when it freezes a model, a decode step of SmolLM2-135M takes 117 ms instead of 175 with 32 rows, and 74
instead of 146 with 8 (products only, one core of a Xeon with AVX-512). A product of any number of rows then has the
bits that the plain one has from 16 rows on, where MKL changes its kernel.

The packed weights are copies, and MKL takes them for one number of rows only; fewer rows are filled up. Layers that
read the same tensor (queries, keys and values; gate and up) are one product, whose bits are those of several.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

LEAST_WEIGHTS = 1 << 24  # in all; a smaller model stays in the processor's cache
_SMALLEST = 1 << 16  # weights of a layer; below it the call costs more than the product
_CONTAINER = Path("/sys/fs/cgroup")
_SHARE = 4  # packed copies take at most a quarter of the memory that is free
_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))  # as Llama, Mistral, Qwen and Gemma name them


class _Place(NamedTuple):
    """Where a linear layer stands in its model."""

    parent: "torch.nn.Module"
    name: str
    linear: "torch.nn.Linear"


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
    weights = sum(place.linear.weight.numel() for place in places)
    if weights < LEAST_WEIGHTS or weights * 4 * _SHARE > _free_memory():
        places = []
    try:
        for group in _groups(places):
            packed = _packed([place.linear for place in group], rows)
            for (parent, name, _), layer in zip(group, packed, strict=True):
                setattr(parent, name, layer)
        yield
    finally:
        for parent, name, linear in places:
            setattr(parent, name, linear)


def _places(model: "torch.nn.Module") -> list[_Place]:
    """The layers that are worth packing."""
    import torch

    return [
        _Place(parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear
        and (child.weight.device.type, child.weight.dtype) == ("cpu", torch.float32)
        and child.weight.numel() >= _SMALLEST
        and not (child._forward_hooks or child._forward_pre_hooks)
    ]


def _groups(places: Sequence[_Place]) -> list[list[_Place]]:
    """Siblings together in the order in which they are called, every other layer alone."""
    found = {(id(place.parent), place.name): place for place in places}
    groups = []
    for parent in dict.fromkeys(id(place.parent) for place in places):
        for names in _SIBLINGS:
            group = [found[parent, name] for name in names if (parent, name) in found]
            alike = {(place.linear.in_features, place.linear.bias is None) for place in group}
            if len(group) == len(names) and len(alike) == 1:
                groups.append([found.pop((parent, name)) for name in names])
    return groups + [[place] for place in found.values()]


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


class _Product:
    """What linear layers make of the same tensor; kept until the last of them has taken its part."""

    def __init__(self, linears: Sequence["torch.nn.Linear"], rows: int) -> None:
        import torch

        weight = torch.cat([linear.weight.detach() for linear in linears])
        self.packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, rows)
        self.shape = weight.new_zeros(1, 1).expand(weight.shape)  # of the weight MKL only asks for its shape
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.sizes = [linear.out_features for linear in linears]
        self.rows, self.filled = rows, weight.new_zeros(rows, weight.shape[1])
        self.read: torch.Tensor | None = None
        self.parts: Sequence[torch.Tensor] = ()

    def part(self, x: "torch.Tensor", number: int) -> "torch.Tensor":
        if len(self.sizes) == 1:
            return self.multiply(x)
        if x is not self.read:
            self.read, self.parts = x, self.multiply(x).split(self.sizes, -1)
        part = self.parts[number]
        if number == len(self.sizes) - 1:
            self.read, self.parts = None, ()
        return part

    def multiply(self, x: "torch.Tensor") -> "torch.Tensor":
        import torch

        given = x.numel() // x.shape[-1]
        if given == self.rows:
            return torch.ops.mkl._mkl_linear(x.contiguous(), self.packed, self.shape, self.bias, self.rows)
        self.filled[:given] = x.reshape(given, -1)  # what stands in the other rows touches none of these
        product = torch.ops.mkl._mkl_linear(self.filled, self.packed, self.shape, self.bias, self.rows)
        return product[:given].view(*x.shape[:-1], product.shape[-1])


def _packed(linears: Sequence["torch.nn.Linear"], rows: int) -> list["torch.nn.Module"]:
    """Packed layers in place of those given, which are called one after the other with the same tensor."""
    import torch

    class PackedLinear(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear, number: int) -> None:
            super().__init__()
            self.linear, self.in_features, self.out_features = linear, linear.in_features, linear.out_features
            self.number = number

        @property
        def weight(self) -> torch.Tensor:
            return self.linear.weight

        @property
        def bias(self) -> torch.Tensor | None:
            return self.linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not 1 < x.numel() // x.shape[-1] <= rows:  # MKL's product of one row reads the weights as they lie
                return self.linear(x)
            return product.part(x, self.number)

    product = _Product(linears, rows)
    return [PackedLinear(linear, number) for number, linear in enumerate(linears)]
