"""Quantization of weights in plain torch: the codes of a matrix, and what a quantized matrix computes with.

| scheme      | code of a weight w                   | a scale for                | as                         |
|-------------|--------------------------------------|----------------------------|----------------------------|
| int8        | round(127 w / s),  s = max of abs(w) | a row (output channel)     | LLM.int8, arXiv 2208.07339 |
| int8_tensor | the same                             | the whole matrix           | a known-bad control        |
| int4        | round(7 w / s)                       | 128 inputs of a row        | torchao, symmetric, ±7     |
| nf4         | nearest of `NF4` to w / s            | 64 weights, rows in a line | QLoRA, arXiv 2305.14314    |
| fp4         | nearest of `FP4` to w / s            | 64 weights, rows in a line | bitsandbytes               |
| q4_0        | floor(w / d + 8.5) in 0 … 15         | 32 inputs of a row         | llama.cpp                  |

For q4_0 d = -m / 8, m being the weight of the largest absolute value with its sign; d is kept in float16.

Everything is computed in float32. One outlier sets the scale of a whole matrix under int8_tensor, which destroys models
(arXiv 2605.02196 reports recoveries from it that real kernels do not show): it is there to be recognised. FP4's +0 and
-0 are one code here: they mean the same weight. NF4 and FP4 do not quantize the scales themselves (no double
quantization). Equal to bitsandbytes, torchao and gguf within 1e-6 where the tests find them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unlearn_bench.errors import UserError

# QLoRA, appendix E: quantiles of the normal distribution, scaled to [-1, 1], with an exact zero.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
# bitsandbytes' 4-bit float, over its largest value 12: 0, 0.0625, 2, 3, 4, 6, 8, 12 with sign.
_FP4_HALF = tuple(value / 12 for value in (0.0625, 2, 3, 4, 6, 8, 12))
FP4 = (*(-value for value in reversed(_FP4_HALF)), 0.0, *_FP4_HALF)
INT4_GROUP = 128
BLOCK = 64
Q4_0_BLOCK = 32


class Quantized(NamedTuple):
    """A quantized matrix.

    Attributes:
        codes: Integer code of each weight, (rows, columns).
        weight: What the codes stand for, float32, (rows, columns).
    """

    codes: Tensor
    weight: Tensor


def int8(matrix: Tensor) -> Quantized:
    """8-bit, one scale per row.

    >>> int8(torch.tensor([[1.0, -0.5, 0.004]])).codes.tolist()  # 127 w
    [[127, -64, 1]]
    """
    return _rounded(matrix, matrix.shape[-1], 127)


def int8_tensor(matrix: Tensor) -> Quantized:
    """8-bit, one scale for the matrix.

    >>> int8_tensor(torch.tensor([[127.0, 0.4], [0.6, 1.0]])).codes.tolist()
    [[127, 0], [1, 1]]
    """
    flat = _rounded(matrix.reshape(1, -1), matrix.numel(), 127)
    return Quantized(*(part.view(matrix.shape) for part in flat))


def int4(matrix: Tensor, *, group: int = INT4_GROUP) -> Quantized:
    """4-bit, one scale per `group` inputs of a row.

    >>> int4(torch.tensor([[1.0, -0.5, 0.1, 2.0]]), group=2).codes.tolist()  # 7 w / 1, then 7 w / 2
    [[7, -4, 0, 7]]
    """
    return _rounded(matrix, group, 7)


def nf4(matrix: Tensor) -> Quantized:
    """Indices into `NF4`.

    >>> nf4(torch.tensor([[1.0, 0.0, -0.7, -1.0]])).codes.tolist()
    [[15, 7, 1, 0]]
    """
    return _nearest(matrix, NF4)


def fp4(matrix: Tensor) -> Quantized:
    """Indices into `FP4`.

    >>> fp4(torch.tensor([[12.0, 0.0, -2.1, -12.0]])).codes.tolist()
    [[14, 7, 5, 0]]
    """
    return _nearest(matrix, FP4)


def q4_0(matrix: Tensor) -> Quantized:
    """llama.cpp's Q4_0; the last block of a row may be short, which its own files do not allow.

    >>> q4_0(torch.tensor([[-8.0, 7.0, 0.0, 3.4]])).codes.tolist()
    [[0, 15, 8, 11]]
    """
    blocks, columns = _groups(matrix, Q4_0_BLOCK)
    widest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = widest / -8
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    codes = (blocks.double() * inverse.double() + 8.5).trunc().clamp(0, 15)
    weight = (codes - 8).float() * scale.half().float()
    return Quantized(_ungrouped(codes.to(torch.int8), columns), _ungrouped(weight, columns))


SCHEMES: dict[str, Callable[[Tensor], Quantized]] = {
    "int8": int8, "int8_tensor": int8_tensor, "int4": int4, "nf4": nf4, "fp4": fp4, "q4_0": q4_0
}  # fmt: skip


def code_flip(before: Tensor, after: Tensor, scheme: Callable[[Tensor], Quantized]) -> float:
    """Share of weights whose code differs, in [0, 1].

    Args:
        before: A matrix, (rows, columns).
        after: The same after the update, of equal shape.
        scheme: One of `SCHEMES`.
    """
    return (scheme(before.float()).codes != scheme(after.float()).codes).double().mean().item()


def quantizable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers that quantizers replace: every linear one but the output head and what an adapter adds.

    Raises:
        UserError: for a layer whose weights are packed already.
    """
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | Conv1D) or module is head or "lora_" in name:
            continue
        if not module.weight.is_floating_point():
            raise UserError(
                f"the weights of {name} are quantized already ({module.weight.dtype})",
                hint="give the checkpoint before quantization",
            )
        yield name, module


def as_matrix(module: nn.Module) -> Tensor:
    """A layer's weight in float32, a row for each output."""
    weight = module.weight.data
    return (weight if isinstance(module, nn.Linear) else weight.T).float()


def set_matrix(module: nn.Module, matrix: Tensor) -> None:
    """Write a matrix, as `as_matrix` gives it, into a layer, in the layer's own type."""
    module.weight.data.copy_(matrix if isinstance(module, nn.Linear) else matrix.T)


def _rounded(matrix: Tensor, group: int, levels: int) -> Quantized:
    """Round to integers in -levels … levels, scaled by the largest absolute value of each group along a row."""
    groups, columns = _groups(matrix, group)
    scale = groups.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)
    codes = (groups / scale * levels).round()
    return Quantized(_ungrouped(codes.to(torch.int8), columns), _ungrouped(codes * scale / levels, columns))


def _nearest(matrix: Tensor, table: tuple[float, ...]) -> Quantized:
    """The nearest table value; each block of the flattened matrix is scaled by its largest absolute value."""
    blocks, size = _groups(matrix.reshape(1, -1), BLOCK)
    scale = blocks.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)
    values = torch.tensor(table, device=matrix.device, dtype=matrix.dtype)
    middles = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize((blocks / scale).contiguous(), middles)
    found = Quantized(codes.to(torch.int8), values[codes] * scale)
    return Quantized(*(_ungrouped(part, size).view(matrix.shape) for part in found))


def _groups(matrix: Tensor, group: int) -> tuple[Tensor, int]:
    """Rows cut into groups, zeros at the end: (rows, groups, group); and the number of columns."""
    rows, columns = matrix.shape
    return nn.functional.pad(matrix, (0, -columns % group)).view(rows, -1, group), columns


def _ungrouped(groups: Tensor, columns: int) -> Tensor:
    return groups.reshape(groups.shape[0], -1)[:, :columns]
