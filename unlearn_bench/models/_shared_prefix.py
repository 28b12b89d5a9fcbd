"""The tokens that all texts of a job begin with (a template's system turn) go through the model once.

Their keys and values are kept and stand before every batch. SmolLM2's template puts 24 tokens before each question,
about a third of question and answer.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from unlearn_bench.models.generation import Unsupported, check_supported

if TYPE_CHECKING:
    import torch
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
        model: A causal language model in evaluation mode.
        ids: Tokens of the prefix.
        texts: How many texts begin with it.
        options: Further arguments of the model's forward (logits_to_keep).

    Attributes:
        length: Its tokens; 0 where nothing is shared: no plain key-value cache, or too little would be saved.
    """

    def __init__(self, model: "PreTrainedModel", ids: Sequence[int], texts: int, **options: object) -> None:
        self.length = 0
        if len(ids) * (texts - 1) < LEAST:
            return
        try:
            check_supported(model)
        except Unsupported:
            return
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        with torch.inference_mode():
            ids_once = torch.tensor([list(ids)], device=model.device)
            model(input_ids=ids_once, past_key_values=cache, use_cache=True, **options)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        if layers and all(keys is not None and keys.shape[-2] == len(ids) for keys, _ in layers):
            self.length, self._layers = len(ids), layers

    def arguments(self, mask: "torch.Tensor") -> dict[str, object]:
        """What the model is given for a batch whose prefix was cut off.

        Args:
            mask: (n, T) attention mask of the rest.

        Returns:
            attention_mask (n, length + T), and the past.
        """
        if not self.length:
            return {"attention_mask": mask, "use_cache": False}
        import torch

        n, width = mask.shape
        return {
            "attention_mask": torch.cat([mask.new_ones(n, self.length), mask], dim=1),
            "position_ids": torch.arange(self.length, self.length + width, device=mask.device).expand(n, -1),
            "past_key_values": self._past(n),
            "use_cache": True,
        }

    def _past(self, n: int) -> "DynamicCache":
        from transformers import DynamicCache

        cache = DynamicCache()
        for index, (keys, values) in enumerate(self._layers):
            cache.update(keys.expand(n, -1, -1, -1), values.expand(n, -1, -1, -1), index)
        return cache
