"""The tokens that all prompts of a call begin with (a template's system turn) go through the model once.

Their keys and values are kept and stand before those of every prompt. SmolLM2's template puts 24 tokens before each
question, half of a prompt of TOFU.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from unlearn_bench.models._plain_cache import forward_arguments

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

LEAST = 64  # tokens that are to be saved; fewer are not worth another call


def common_prefix(sequences: Sequence[Sequence[int]], limit: int) -> int:
    """How many tokens all sequences begin with, at most `limit`.

    >>> common_prefix([[1, 2, 3], [1, 2, 4]], 9), common_prefix([[1, 2, 3], [1, 2, 4]], 1)
    (2, 1)
    """
    first, last = min(sequences), max(sequences)  # the others lie between
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return min(sum(1 for _ in same), limit)


class SharedPrefix:
    """Keys and values of a prefix.

    Args:
        model: A causal language model in evaluation mode, which `check_supported` accepts.
        ids: Tokens of the prefix.
        texts: How many texts begin with it.

    Attributes:
        length: Its tokens; 0 where nothing is shared: no plain key-value cache, or too little would be saved.
    """

    def __init__(self, model: "PreTrainedModel", ids: Sequence[int], texts: int) -> None:
        self.length = 0
        if len(ids) * (texts - 1) < LEAST:
            return
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        options = {"logits_to_keep": 1} if "logits_to_keep" in forward_arguments(model) else {}
        with torch.inference_mode():
            ids_once = torch.tensor([list(ids)], device=model.device)
            model(input_ids=ids_once, past_key_values=cache, use_cache=True, **options)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        if layers and all(keys is not None and keys.shape[-2] == len(ids) for keys, _ in layers):
            self.length, self._layers = len(ids), layers

    def fill(self, cache: "DynamicCache", n: int) -> None:
        """Put the prefix into an empty cache, as the past of each of n rows; nothing where nothing is shared."""
        if self.length:
            for index, (keys, values) in enumerate(self._layers):
                cache.update(keys.expand(n, -1, -1, -1), values.expand(n, -1, -1, -1), index)
