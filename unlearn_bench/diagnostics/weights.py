"""Weights: what the update moved, and whether quantization would undo it.

    update norm    = |W1 - W0|_F / |W0|_F                                   0 = untouched
    effective rank = exp( -sum_i p_i log p_i ),  p_i = s_i / sum_j s_j      1 … smaller side
    code flip      = share of weights whose quantization code differs between W0 and W1
    s_i            : singular values of W1 - W0

An update that flips no code is undone by quantization but for the blocks' scales (arXiv 2410.16454: 21 % of the
forgotten knowledge is there in full precision, 83 % after 4 bits). W0 is the model before unlearning.

Effective rank: Roy and Vetterli, EUSIPCO 2007. Codes: `models.quantize`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearn_bench.diagnostics._hooks import Decoder
from unlearn_bench.errors import UserError
from unlearn_bench.models import quantize

SCHEMES = {name: quantize.SCHEMES[name] for name in ("int8", "int4", "nf4", "fp4")}


@dataclass(frozen=True)
class ModuleChange:
    """What an update did to one parameter.

    Attributes:
        layer: Index of its block; None outside of the blocks (embeddings, final norm).
        norm_before, norm_change: Frobenius norms of the parameter before and of the update.
        update_norm: Their quotient; None for a parameter that was zero and is not any more.
        effective_rank: None for vectors, and where nothing changed.
        flips: Scheme to share of flipped codes; empty for what quantizers leave alone (outside of the blocks, vectors).
        finite: False where the update is NaN or infinite (a broken model): nothing of the above is known then.
    """

    name: str
    layer: int | None
    parameters: int
    norm_before: float
    norm_change: float
    update_norm: float | None
    effective_rank: float | None
    flips: dict[str, float]
    finite: bool = True


def update_norm(before: Tensor, after: Tensor) -> float | None:
    """Relative Frobenius norm of the update; None where there was nothing to be relative to.

    >>> update_norm(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]))  # 0.5 / 5
    0.1
    """
    size, change = before.double().norm().item(), (after.double() - before.double()).norm().item()
    return change / size if size else (None if change else 0.0)


def effective_rank(matrix: Tensor) -> float | None:
    """Effective rank of a matrix, from 1 to its smaller side; None for a zero matrix.

    >>> round(effective_rank(torch.diag(torch.tensor([2.0, 2.0, 0.0]))), 6)
    2.0
    """
    matrix = matrix.double()
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    scale = matrix.abs().max()
    if not scale:
        return None
    # Eigenvalues of the Gram matrix: many times faster than singular values; float64 keeps the small ones.
    matrix = matrix / scale
    singular = torch.linalg.eigvalsh(matrix @ matrix.T).clamp(min=0).sqrt()
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp().item()


def compare(judged: Decoder, original: Decoder) -> Iterator[ModuleChange]:
    """Compare every parameter, adapters applied.

    Raises:
        UserError: if the two models do not have the same parameters, or hold packed (quantized) ones.
    """
    before, after = _parameters(original.model), _parameters(judged.model)
    shapes = {name: tuple(p.shape) for name, p in before.items()}
    if shapes != {name: tuple(p.shape) for name, p in after.items()}:
        different = sorted(n for n in {*before, *after} if n not in after or shapes.get(n) != tuple(after[n].shape))
        raise UserError(
            f"weights: the two models differ in shape, first at {different[0] if different else 'a missing parameter'}",
            hint="--original must be the checkpoint before unlearning, of the same architecture",
        )
    prefix = next(name for name, module in _base(original.model).named_modules() if module is original.layers)
    for name, old in before.items():
        yield _change(name, prefix, old, after[name])


@torch.no_grad()
def _change(name: str, prefix: str, before: Tensor, after: Tensor) -> ModuleChange:
    if not before.is_floating_point():
        raise UserError(
            f"weights: {name} is quantized ({before.dtype})", hint="compare the checkpoints before quantization"
        )
    inside = name.startswith(prefix + ".")
    matrix = before.ndim == 2
    layer = int(name[len(prefix) + 1 :].split(".")[0]) if inside else None
    if not (before.isfinite().all() and after.isfinite().all()):
        return ModuleChange(name, layer, before.numel(), 0.0, 0.0, None, None, {}, finite=False)
    return ModuleChange(
        name=name,
        layer=layer,
        parameters=before.numel(),
        norm_before=before.double().norm().item(),
        norm_change=(after.double() - before.double()).norm().item(),
        update_norm=update_norm(before, after),
        effective_rank=effective_rank(after.double() - before.double()) if matrix else None,
        flips={scheme: quantize.code_flip(before, after, way) for scheme, way in SCHEMES.items()}
        if inside and matrix
        else {},
    )


def _base(model: nn.Module) -> nn.Module:
    """The model inside an adapter's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@torch.no_grad()
def _parameters(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by their plain names, the active adapters' updates added."""
    found: dict[str, Tensor] = {}
    base = _base(model)
    updates = {
        f"{name}.weight": sum(module.get_delta_weight(adapter) for adapter in module.active_adapters)
        for name, module in base.named_modules()
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer") and not module.merged
    }
    for name, parameter in base.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            continue
        plain = name.replace(".base_layer", "")
        found[plain] = parameter.data + updates[plain] if plain in updates else parameter.data
    return found
