"""A causal language model in two halves: hidden states for every place, logits for a few of them.

Nothing of the model is replaced: a hook reads what goes into the output layer and lets one place through. Where logits
are more than that layer's output (Gemma's soft cap, Granite's scale), they are computed by the model's own forward, the
states being put in by a hook. So logits are never held for a whole batch. Several threads may read at the same time:
a hook sees what its own thread computes.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class OutputLayer:
    """The output layer of a model in evaluation mode.

    Args:
        model: A causal language model; one without a separate output layer computes all logits at once.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model
        self.layer = model.get_output_embeddings()
        self._alone: bool | None = None  # whether logits are the layer's output, and nothing more

    def states(self, **inputs: object) -> "torch.Tensor":
        """What the output layer would read: (n, T, width)."""
        if self.layer is None:
            return self.model(**inputs).logits
        read: list[torch.Tensor] = []

        def keep(states: "torch.Tensor") -> "torch.Tensor":
            read.append(states)
            return states[:, -1:]

        with self.layer.register_forward_pre_hook(_Reading(keep)):
            logits = self.model(**inputs).logits
        if self._alone is None and not logits.isnan().any():
            self._alone = bool((self.layer(read[0][:, -1:]) == logits).all())
        return read[0]

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Logits (n, V) of states (n, width)."""
        if self.layer is None:
            return states
        if self._alone:
            return self.layer(states)
        one_token = states.new_zeros((1, 1), dtype=int)
        with self.layer.register_forward_pre_hook(_Reading(lambda _: states[None])):
            return self.model(input_ids=one_token.to(self.model.device), use_cache=False).logits[0]

    @property
    def divides(self) -> bool:
        """Whether logits of a part of the vocabulary can be had for the price of that part."""
        import torch

        others = [hook for hook in list(self.layer._forward_pre_hooks.values()) if not isinstance(hook, _Reading)]
        plain = type(self.layer) is torch.nn.Linear and not (self.layer._forward_hooks or others)
        return plain and bool(self._alone)

    def parts(self, states: "torch.Tensor", elements: int) -> Iterator[tuple[int, "torch.Tensor"]]:
        """The logits of states (n, width) in parts of the vocabulary: the first token of a part, and (n, part).

        Args:
            states: Of a layer that `divides`.
            elements: Most of a part; at least one token is.
        """
        import torch

        size = max(1, elements // len(states))
        for first in range(0, len(self.layer.weight), size):
            own = slice(first, first + size)
            bias = None if self.layer.bias is None else self.layer.bias[own]
            yield first, torch.nn.functional.linear(states, self.layer.weight[own], bias)


class _Reading:
    """A hook through which a layer reads, in the thread that made it, what `change` makes of its input."""

    def __init__(self, change: "Callable[[torch.Tensor], torch.Tensor]") -> None:
        self._change = change
        self._thread = threading.get_ident()

    def __call__(self, _: object, arguments: tuple["torch.Tensor", ...]) -> tuple["torch.Tensor", ...]:
        return (self._change(arguments[0]),) if threading.get_ident() == self._thread else arguments
