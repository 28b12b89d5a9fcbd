"""Attention of packed rows on the CPU: each block of queries meets the keys that one of them sees, and no others.

    softmax(q K^T scale + mask) V        q (rows, heads, T, d), K and V (rows, key heads, T, d)

A packed row holds many sequences (`_packing`), and a token sees its own ancestors only: in a row of 384 tokens that
holds eight questions with their answers, five of six scores are masked. Here the queries of a row are cut into blocks
of neighbours, and each block is multiplied with the columns that it needs, while they are in the processor's cache.
What is masked adds 0 to a sum, so values are those of the whole product but for the order of sums. Queries that share a
key head are rows of one product.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unlearn_bench.models._own_attention import own_attention

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "unlearn_bench_tree"  # in transformers' registry of attention functions
_QUERIES = 64  # of a block
_NONE = np.finfo(np.float32).min


class Block(NamedTuple):
    """Q neighbouring queries of a row and the C columns that one of them sees.

    Attributes:
        row: Which row of the batch.
        queries: Their places in the row.
        columns: Places of the keys in the row.
        mask: float32 (Q, C): 0, or the least number where a query does not see a column.
    """

    row: int
    queries: slice
    columns: "slice | torch.Tensor"
    mask: "torch.Tensor"


_blocks: ContextVar[list[Block] | None] = ContextVar("blocks", default=None)


def blocks_of(hidden: np.ndarray) -> list[Block]:
    """Cut rows into blocks.

    Args:
        hidden: Boolean (rows, T, T): where a query (second axis) does not see a column; each sees at least one.
    """
    import torch

    blocks = []
    for row, own in enumerate(hidden):
        for first in range(0, len(own), _QUERIES):
            part = own[first : first + _QUERIES]
            seen = np.flatnonzero(~part.all(0))
            mask = torch.from_numpy(np.where(part[:, seen], _NONE, np.float32(0)))
            begin, end = int(seen[0]), int(seen[-1]) + 1
            columns = slice(begin, end) if end - begin == len(seen) else torch.from_numpy(seen)
            blocks.append(Block(row, slice(first, first + len(part)), columns, mask))
    return blocks


def attention_in_blocks(model: "PreTrainedModel") -> AbstractContextManager[bool]:
    """A float32 model on the CPU with transformers' "sdpa" attention reads by blocks inside; the value says whether."""
    return own_attention(model, NAME, _register)


@contextmanager
def reading(blocks: list[Block] | None) -> Iterator[None]:
    """What the model reads inside is cut into these blocks; None: as "sdpa"."""
    token = _blocks.set(blocks)
    try:
        yield
    finally:
        _blocks.reset(token)


@cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attention(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    **options: object,
) -> tuple["torch.Tensor", None]:
    """As transformers calls it; the result is (rows, queries, heads, d)."""
    import torch

    blocks = _blocks.get()
    (rows, heads, width, d), key_heads = query.shape, key.shape[1]
    usual = blocks is None or options.get("position_bias") is not None or key.shape[-1] != value.shape[-1]
    if usual or key.shape[2] != width or (blocks[-1].row + 1, blocks[-1].queries.stop) != (rows, width):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    grouped = query.unflatten(1, (key_heads, -1)) * (options.get("scaling") or d**-0.5)
    mixed = query.new_empty((rows, width, heads, d))
    for row, queries, columns, mask in blocks:
        q = grouped[row, :, :, queries].flatten(1, 2)
        scores = torch.bmm(q, key[row, :, columns].transpose(1, 2))
        scores.view(-1, *mask.shape).add_(mask)
        own = torch.bmm(scores.softmax(-1), value[row, :, columns])
        mixed[row, queries] = own.view(heads, -1, d).transpose(0, 1)
    return mixed, None
