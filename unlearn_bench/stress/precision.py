"""Precision: the same weights in another float type, and the same prompts in batches of another size.

Forgetting that depends on the last bits of a number, or on the padding beside a prompt, is none. `bfloat16` and
`float16` round every parameter and compute in that type; `batch1` and `batch32` ask one prompt at a time and up to 32
with padding. The fact `changed_answers` is the share of answers whose text is another one than without the stress: two
batch sizes of a sound implementation differ by ties only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlearn_bench.stress.base import CannotRun, Stress, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BATCHES = {"batch1": 1, "batch32": 32}


@contextmanager
def apply(variant: str, subject: Subject) -> "Iterator[PreTrainedModel]":
    """The model with its parameters in another type, and afterwards with its own."""
    import torch

    model = subject.model
    if variant in _BATCHES:
        yield model
        return
    dtype = getattr(torch, variant)
    if model.dtype == dtype:
        raise CannotRun(f"the checkpoint computes in {variant} already")
    _check(dtype, model.device)
    kept = {parameter: parameter.data for parameter in model.parameters()}
    try:
        for parameter, data in kept.items():
            parameter.data = data.to(dtype)
        yield model
    finally:
        for parameter, data in kept.items():
            parameter.data = data


def _check(dtype: object, device: object) -> None:
    """Whether a device multiplies matrices of a type."""
    import torch

    try:
        matrix = torch.ones(2, 2, dtype=dtype, device=device)
        torch.nn.functional.silu(matrix @ matrix)
    except RuntimeError as error:
        raise CannotRun(f"{device} does not compute in {dtype}") from error


STRESS = Stress(
    changes="checkpoint",
    variants=("bfloat16", "float16", *_BATCHES),
    quick=("bfloat16",),
    cost="one pass of the tasks each; batch1 is the slowest",
    apply=apply,
    asked={name: {"batch_size": size} for name, size in _BATCHES.items()},
)
