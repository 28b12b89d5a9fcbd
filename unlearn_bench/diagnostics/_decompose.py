"""One decoder block taken apart: what each head wrote from each source token, exactly.

The linear maps are read by what the modules do, not by their parameters, so that adapters and quantized layers count.
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from unlearn_bench.diagnostics._hooks import AttentionParts, Block


class Projection:
    """A block's constant parts: the output projection and the weight of the norm behind it, if there is one.

    Attributes:
        weight, bias: Of the map from concatenated heads to the residual stream, (heads * size, d) and (d,).
        gain: Per-feature weight of the RMS norm applied to the attention output, (d,), or None.
    """

    @torch.no_grad()
    def __init__(self, parts: AttentionParts) -> None:
        self.parts = parts
        self.weight, bias = _linear_map(parts.output)
        self.bias = bias if bias.any() else None
        norm = parts.attention_norm
        # An input of ones gives the effective weight, also where a model changes it (Gemma adds 1).
        self.gain = None if norm is None else norm(torch.full_like(norm.weight, 1e3)).float()


class View:
    """One block's recorded tensors for one prompt, in float32, cut behind the answer position.

    Attributes:
        entry, middle, out: Residual stream before the block, after attention and after the block, (tokens, d);
            `middle` is `out` in parallel blocks, where nothing lies between.
        attention, mlp: What attention and MLP add to the stream, (tokens, d).
    """

    def __init__(self, block: Block, projection: Projection, row: int, end: int) -> None:
        def cut(tensor: Tensor) -> Tensor:
            return tensor[row, :end].float()

        self._projection = projection
        self.parallel = projection.parts.parallel
        self.entry, self.out, self.attention, self.mlp = map(cut, (block.entry, block.out, block.attention, block.mlp))
        self.middle = self.out if self.parallel else self.entry + self.attention
        self._weights = block.weights[row, :, :end, :end].float()
        heads = self._weights.shape[0]
        size = block.heads.shape[-1] // heads
        values = _values(cut(block.value), projection.parts.value_layout, heads, size)
        self._written = torch.einsum("shk,hkd->hsd", values, projection.weight.view(heads, size, -1))
        self._raw = cut(block.attention_raw)

    @cached_property
    def _scale(self) -> Tensor | None:
        """What the output norm multiplies each feature with, (tokens, d): its weight over the root mean square at t."""
        if self._projection.gain is None:
            return None
        weighted = self._raw * self._projection.gain
        inverse = (self.attention * weighted).sum(-1, keepdim=True) / weighted.square().sum(-1, keepdim=True).clamp(
            1e-30
        )
        return inverse * self._projection.gain

    def heads(self, target: int) -> Tensor:
        """What each head writes into the stream at `target` from each source token, (heads, target + 1, d)."""
        found = self._weights[:, target, : target + 1, None] * self._written[:, : target + 1]
        return found if self._scale is None else found * self._scale[target]

    def others(self, target: int) -> Tensor:
        """The remaining parts at `target`, (1 to 3, d): the stream before, a parallel MLP, the projection's bias."""
        parts = [self.entry[target]]
        if self.parallel:
            parts.append(self.mlp[target])
        if (bias := self._projection.bias) is not None:
            parts.append(bias if self._scale is None else bias * self._scale[target])
        return torch.stack(parts)

    def error(self) -> float:
        """Largest difference of summed parts from the block's own output, relative to its largest value (or 1)."""
        attention = torch.einsum("hts,hsd->td", self._weights, self._written)
        attention = attention if self._projection.bias is None else attention + self._projection.bias
        attention = attention if self._scale is None else attention * self._scale
        pairs = ((attention, self.attention), (self.entry + self.attention + self.mlp, self.out))
        return max(((ours - own).abs().max() / own.abs().max().clamp(1.0)).item() for ours, own in pairs)


def _values(value: Tensor, layout: str, heads: int, size: int) -> Tensor:
    """Per-head values, (tokens, heads, size), of what the value module gave; values shared by heads are repeated."""
    tokens, width = value.shape
    if layout == "interleaved":
        return value.view(tokens, heads, 3 * size)[..., 2 * size :]
    if layout == "tail":
        width = (width - heads * size) // 2
        value = value[:, -width:]
    return value.reshape(tokens, width // size, size).repeat_interleave(heads * size // width, dim=1)


def _linear_map(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (in, out) and bias (out,) of a linear module."""
    if type(module) is nn.Linear:
        weight = module.weight.float().T
        return weight, torch.zeros_like(weight[0]) if module.bias is None else module.bias.float()
    parameter = next(module.parameters())
    dtype = parameter.dtype if parameter.is_floating_point() else torch.get_default_dtype()
    size = getattr(module, "in_features", parameter.shape[0])
    probe = torch.eye(size, device=parameter.device, dtype=dtype)
    bias = module(torch.zeros_like(probe[:1]))[0].float()
    return module(probe).float() - bias, bias
