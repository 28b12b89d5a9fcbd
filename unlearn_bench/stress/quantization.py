"""Quantization: the weights of every linear layer are replaced by what their codes stand for.

    W' = dequantize(quantize(W))          schemes: `models.quantize`

Zhang et al., "Catastrophic failure of LLM unlearning via quantization" (arXiv 2410.16454): updates of unlearning are
smaller than half a quantization bucket, and 4 bits bring 83 % of the forgotten back where full precision keeps 21 %. No
single scheme is a test: a checkpoint can stay inside the buckets of one and of no other. Activations are not quantized,
and the output head and the embeddings are left alone, as bitsandbytes leaves them.

An adapter is merged into its base before that is quantized (`nf4`), as checkpoints are served; or stays in float over a
quantized base (`nf4_base`), as QLoRA trains it. These are two exams. `int8_tensor` wrecks models by itself: a control
that shows how a finding looks that is none.

The fact `code_flips` is the share of codes that differ from those of the original: 0 means that unlearning left nothing
that the scheme can see.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlearn_bench.stress.base import CannotRun, Stress, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BASE = "_base"


@contextmanager
def apply(variant: str, subject: Subject) -> "Iterator[PreTrainedModel]":
    """The model with quantized weights, and afterwards with its own."""
    import torch

    from unlearn_bench.models import quantize

    model, scheme = subject.model, quantize.SCHEMES[variant.removesuffix(_BASE)]
    is_adapter, merges = hasattr(model, "peft_config"), not variant.endswith(_BASE)
    if subject.judged and not merges and not is_adapter:
        raise CannotRun("it needs an adapter over a base model")
    layers = [layer for _, layer in quantize.quantizable(model)]
    kept = [layer.weight.data.clone() for layer in layers]
    try:
        with torch.no_grad():
            if is_adapter and merges:
                model.merge_adapter()
            if subject.original is not None and merges:
                subject.facts["code_flips"] = code_flips(model, subject.original(), variant)
            for layer in layers:
                quantize.set_matrix(layer, scheme(quantize.as_matrix(layer)).weight)
        yield model
    finally:
        if is_adapter and merges:
            model.unmerge_adapter()
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.data.copy_(weight)


def code_flips(model: "PreTrainedModel", original: "PreTrainedModel", variant: str) -> float:
    """Share of the codes of all quantized layers that differ, in [0, 1].

    Raises:
        CannotRun: if the two models do not have the same layers.
    """
    from unlearn_bench.models import quantize

    both = [[layer for _, layer in quantize.quantizable(one)] for one in (original, model)]
    if [layer.weight.shape for layer in both[0]] != [layer.weight.shape for layer in both[1]]:
        raise CannotRun("the original has other layers than the checkpoint")
    flipped = weights = 0.0
    for pair in zip(*both, strict=True):
        before, after = map(quantize.as_matrix, pair)
        flipped += quantize.code_flip(before, after, quantize.SCHEMES[variant]) * before.numel()
        weights += before.numel()
    return flipped / weights


STRESS = Stress(
    changes="checkpoint",
    variants=("int8", "int8_tensor", "int4", "nf4", "nf4_base", "fp4", "q4_0"),
    quick=("nf4", "int4"),
    cost="one pass of the tasks a scheme",
    apply=apply,
)
