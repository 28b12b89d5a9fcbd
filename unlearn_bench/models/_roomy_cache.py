"""A cache of keys and values with room to grow: steps, finished rows and new rows are written in place.

transformers' `DynamicCache` concatenates at every step, which copies the whole past. Here each layer keeps a buffer
with some columns to spare; its `keys` and `values` are the part of the buffer that is filled. A row that is dropped
gives its place to the last one, and a row that is added takes a free place.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

SPARE = 64  # columns; the past is copied once for so many tokens


def roomy_cache() -> "DynamicCache":
    """An empty cache, to be used as a `DynamicCache` is; its layers also `keep` and `join` rows."""
    from transformers import DynamicCache

    made = DynamicCache()
    made.layer_class_to_replicate = _layer_class()
    return made


def places_of(kept: Sequence[int], rows: int) -> list[int]:
    """Which row stands at each place when only `kept` stay: those behind the last place move into the gaps.

    Args:
        kept: Rows that stay, in any order.
        rows: How many there were.

    >>> places_of([0, 2, 4, 5], 6)
    [0, 4, 2, 5]
    """
    count, stay = len(kept), set(kept)
    movers = iter(sorted(row for row in stay if row >= count))
    return [place if place in stay else next(movers) for place in range(count)]


class _Buffer:
    """One tensor of (rows, heads, columns, d), of which rows [0, n) and columns [start, end) are filled."""

    def __init__(self) -> None:
        self._whole: torch.Tensor | None = None
        self._filled: torch.Tensor | None = None
        self._start = self._end = 0

    def append(self, past: "torch.Tensor", new: "torch.Tensor") -> "torch.Tensor":
        """`past` with columns (n, heads, t, d) behind it; written in place where `past` is what was returned last."""
        n, t = new.shape[0], new.shape[-2]
        if past is not self._filled or self._whole is None or self._end + t > self._whole.shape[-2]:
            self._renew(past, new, rows=n, end=past.shape[-2] if past.numel() else 0)
        self._whole[:n, :, self._end : self._end + t] = new
        self._end += t
        return self._view(n)

    def keep(self, places: Sequence[int], start: int) -> "torch.Tensor":
        """Only the rows that `places_of` returned, without their first `start` columns."""
        self._start += start
        for place, row in enumerate(places):
            if place != row:
                self._whole[place, :, self._start : self._end] = self._whole[row, :, self._start : self._end]
        return self._view(len(places))

    def join(self, new: "torch.Tensor") -> "torch.Tensor":
        """Further rows (m, heads, w, d) that end in the same column; where a row has no column, it is filled with 0."""
        n, m, width = len(self._filled), len(new), new.shape[-2]
        if n + m > len(self._whole) or width > self._end:
            self._renew(self._filled, new, rows=n + m, end=max(width, self._filled.shape[-2]))
        begin = self._end - width
        self._whole[:n, :, begin : self._start] = 0  # what stood there may be NaN, and 0 * NaN is NaN
        self._start = min(begin, self._start)
        self._whole[n : n + m, :, self._start : begin] = 0
        self._whole[n : n + m, :, begin : self._end] = new
        return self._view(n + m)

    def _renew(self, past: "torch.Tensor", new: "torch.Tensor", *, rows: int, end: int) -> None:
        """Another buffer, in which `past` ends at the column `end`, with room for `new` and `SPARE` columns behind."""
        rows = max(rows, 0 if self._whole is None else len(self._whole))
        self._whole = new.new_zeros(rows, new.shape[1], end + new.shape[-2] + SPARE, new.shape[-1])
        self._start = self._end = end
        if past.numel():
            self._start -= past.shape[-2]
            self._whole[: len(past), :, self._start : end] = past

    def _view(self, n: int) -> "torch.Tensor":
        self._filled = self._whole[:n, :, self._start : self._end]
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

        def keep(self, places: Sequence[int], start: int) -> None:
            """Only the rows that `places_of` returned, without their first `start` columns."""
            self.keys, self.values = (buffer.keep(places, start) for buffer in self._buffers)

        def join(self, other: DynamicLayer) -> None:
            """Also the rows of another layer, which end in the same column."""
            keys, values = self._buffers
            self.keys, self.values = keys.join(other.keys), values.join(other.values)

    return RoomyLayer
