"""Norms of the gradient of a continuation's loss with respect to the weights, one text at a time.

    loss   = -(1/n) sum over t of ln p(c_t)                    the n tokens of a continuation that count
    norm_p = mean over the weight tensors W of || d loss / d W ||_p,   p = 1, 2 or infinity

Wang et al. (arXiv 2402.03967); the mean over tensors, in place of one norm of all together, is open-unlearning's
(`mia/gradnorm.py`), as is that a tensor which the text does not reach has no part in the mean.

Every parameter of a floating type counts, trainable or frozen; tied weights are one tensor, and their gradient is the
sum over both places. With an adapter the tensors are those of the merged model: where an adapter adds a matrix to a
weight, the gradient with respect to the sum is that with respect to the weight, so nothing is merged. Modules that were
trained whole stand in for the base's.

The forward and backward pass are in the model's own type, in evaluation mode (open-unlearning switches dropout on,
which most language models do not have); softmax, loss and norms are float32. A text is read by itself, so no value
depends on a batch. A tensor's gradient is given back as soon as its norm is known, so that the memory in addition to
what a forward pass keeps is that of a few gradients, and never more than one copy of all of them.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.models._output_layer import OutputLayer
from unlearn_bench.models.adapters import adds_to_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from unlearn_bench.models.likelihood import TokenSequence

ORDERS = (1.0, 2.0, math.inf)
QUANTIZED = "gradients_of_quantized_weights"
ADAPTER = "gradients_of_this_adapter"
_NO_MEMORY = "a forward and backward pass of {} tokens does not fit into the memory of {}"


class Norms(NamedTuple):
    """`norm_p` for p = 1, 2 and infinity; at least 0, or NaN."""

    l1: float
    l2: float
    largest: float


class GradientNorms:
    """Texts to the norms of their gradients.

    Args:
        model: A causal language model in evaluation mode. Neither its weights nor its gradients are changed.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model
        self._output = OutputLayer(model)

    def why_none(self) -> str | None:
        """Why the model's weights have no gradients that mean what the formula says; None where they have."""
        if not adds_to_weights(self.model):
            return ADAPTER
        whole = all(parameter.is_floating_point() for parameter in self.model.parameters())
        return None if whole else QUANTIZED

    def __call__(self, sequences: "Sequence[TokenSequence]") -> "Iterator[Norms]":
        """The norms of each sequence, whose tokens from `start` on all count.

        Raises:
            UserError: if a text does not fit into memory.
        """
        with _only_weights(self.model) as weights:
            for sequence in sequences:
                yield self._of_one(sequence, weights)

    def _of_one(self, sequence: "TokenSequence", weights: "Sequence[torch.nn.Parameter]") -> Norms:
        import torch

        found: dict[int, torch.Tensor] = {}

        def take(number: int, weight: "torch.nn.Parameter") -> None:
            gradient, weight.grad = weight.grad, None
            exact = torch.float64 if gradient.dtype == torch.float64 else torch.float32
            norms = [torch.linalg.vector_norm(gradient, order, dtype=exact) for order in ORDERS]
            found[number] = torch.stack(norms)

        hooks = [
            weight.register_post_accumulate_grad_hook(lambda own, number=number: take(number, own))
            for number, weight in enumerate(weights)
        ]
        try:
            with torch.enable_grad():
                self._loss(sequence).backward()
        except torch.OutOfMemoryError:
            raise UserError(
                _NO_MEMORY.format(len(sequence.ids), self.model.device),
                hint="pass --dtype bfloat16, or leave the gradient norm out",
            ) from None
        finally:
            for hook in hooks:
                hook.remove()
            for weight in weights:
                weight.grad = None
        columns = zip(*(found[number].tolist() for number in sorted(found)), strict=True)
        return Norms(*(math.fsum(column) / len(found) for column in columns))

    def _loss(self, sequence: "TokenSequence") -> "torch.Tensor":
        import torch

        ids = torch.tensor([sequence.ids], device=self.model.device)
        states = self._output.states(input_ids=ids, use_cache=False)[0, sequence.start - 1 : -1]
        logits = self._output.logits(states)
        exact = logits if logits.dtype == torch.float64 else logits.float()
        return torch.nn.functional.cross_entropy(exact, ids[0, sequence.start :].to(exact.device))


@contextmanager
def _only_weights(model: "PreTrainedModel") -> "Iterator[list[torch.nn.Parameter]]":
    """The tensors that count, which alone have gradients inside; what stood there before is put back."""
    prefix = getattr(getattr(model, "base_model", None), "prefix", None) if hasattr(model, "peft_config") else None
    named = dict(model.named_parameters())  # each tensor once, also one that is tied
    weights = [weight for name, weight in named.items() if prefix is None or prefix not in name]
    before = [(weight, weight.requires_grad, weight.grad) for weight in named.values()]
    try:
        for weight in named.values():
            weight.grad = None
            weight.requires_grad_(requires_grad=False)
        for weight in weights:
            weight.requires_grad_(requires_grad=True)
        yield weights
    finally:
        for weight, trains, gradient in before:
            weight.requires_grad_(trains)
            weight.grad = gradient
