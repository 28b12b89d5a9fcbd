"""A cache of keys and values with room to grow: a decode step writes one column, and copies nothing.

transformers' `DynamicCache` concatenates at every step, which copies the whole past. Here each layer keeps a buffer
with some columns to spare; its `keys` and `values` are the part of the buffer that is filled.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

SPARE = 64  # columns; the past is copied once for so many tokens


def roomy_cache() -> "DynamicCache":
    """An empty cache, to be used as a `DynamicCache` is."""
    from transformers import DynamicCache

    made = DynamicCache()
    made.layer_class_to_replicate = _layer_class()
    return made


class _Buffer:
    """One tensor of (n, heads, T, d) that is appended to along T."""

    def __init__(self) -> None:
        self._whole: torch.Tensor | None = None
        self._filled: torch.Tensor | None = None

    def append(self, past: "torch.Tensor", new: "torch.Tensor") -> "torch.Tensor":
        """`past` with `new` behind it; written in place where `past` is what was returned last."""
        start = past.shape[-2] if past.numel() else 0
        end = start + new.shape[-2]
        if past is not self._filled or self._whole is None or self._whole.shape[-2] < end:
            self._whole = new.new_empty(*new.shape[:-2], end + SPARE, new.shape[-1])
            if start:
                self._whole[..., :start, :] = past
        self._whole[..., start:end, :] = new
        self._filled = self._whole[..., :end, :]
        return self._filled


@cache
def _layer_class() -> type:
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        def lazy_initialization(self, key_states: "torch.Tensor", *args: object) -> None:
            super().lazy_initialization(key_states, *args)
            self._buffers = _Buffer(), _Buffer()

        def update(
            self, key_states: "torch.Tensor", value_states: "torch.Tensor", *args: object, **kwargs: object
        ) -> tuple["torch.Tensor", "torch.Tensor"]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            keys, values = self._buffers
            self.keys = keys.append(self.keys, key_states)
            self.values = values.append(self.values, value_states)
            return self.keys, self.values

    return RoomyLayer
