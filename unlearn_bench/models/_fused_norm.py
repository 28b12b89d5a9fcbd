"""RMSNorm of a frozen model on the CPU in one call of torch instead of seven; the bits are the same.

    y = w x / sqrt(mean(x^2) + epsilon)        x (..., n), w (n,)

A layer has two. In a decode step, a few rows only, each call costs more than its sums; where many tokens are read at
once (likelihoods, prefills), seven calls write as many copies of the states.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def fused_norms(model: "torch.nn.Module") -> Iterator[None]:
    """Norms of a float32 model on the CPU are torch's own where those give the same bits; its own are back afterwards.

    Args:
        model: In evaluation mode.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child).__name__.endswith("RMSNorm")
    ]
    try:
        for parent, name, child in places:
            if _gives_the_same_bits(child):
                setattr(parent, name, _fused(child))
        yield
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)


def _gives_the_same_bits(norm: "torch.nn.Module") -> bool:
    import torch

    weight = norm._parameters.get("weight")
    # Llama's names; Gemma's, which multiplies by 1 + w, has `eps`
    if weight is None or not isinstance(getattr(norm, "variance_epsilon", None), float):
        return False
    if (weight.device.type, weight.dtype) != ("cpu", torch.float32) or norm._forward_hooks or norm._forward_pre_hooks:
        return False
    x = torch.linspace(-3, 2, 2 * len(weight)).view(2, -1)
    with torch.no_grad():
        return torch.equal(norm(x), _fused(norm)(x))


def _fused(norm: "torch.nn.Module") -> "torch.nn.Module":
    import torch

    made = torch.nn.RMSNorm(len(norm.weight), eps=norm.variance_epsilon, device="meta")
    made.weight = norm.weight
    return made.eval()
