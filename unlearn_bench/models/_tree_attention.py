"""Attention of packed rows on the CPU: each block of queries meets the keys that one of them sees, and no others.

    softmax(q K^T scale + mask) V        q (rows, heads, T, d), K and V (rows, key heads, T, d)

A packed row holds many sequences (`_packing`), and a token sees its own ancestors only: in a row of 384 tokens that
holds eight questions with their answers, five of six scores are masked. Here the queries of a row are cut into blocks
of neighbours, and each block is multiplied with the columns that it needs. What is masked adds 0 to a sum, so values
are those of the whole product but for the order of sums. Queries that share a key head are rows of one product.
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


class Blocks(NamedTuple):
    """How B blocks of Q queries read N = rows * T places, C columns each.

    Attributes:
        queries: (B * Q,) places of the queries; those that fill up the last block of a row are repeated.
        columns: (B * C,) places of the keys; masked where a block needs fewer than the others.
        mask: float32 (B, Q, C): 0, or the least number where a query does not see a column.
        places: (N,) where the result of each place stands among the B * Q.
    """

    queries: "torch.Tensor"
    columns: "torch.Tensor"
    mask: "torch.Tensor"
    places: "torch.Tensor"


_blocks: ContextVar[Blocks | None] = ContextVar("blocks", default=None)


def blocks_of(hidden: np.ndarray) -> Blocks:
    """Cut rows into blocks.

    Args:
        hidden: Boolean (rows, T, T): where a query (second axis) does not see a column; each sees at least one.
    """
    import torch

    rows, width, _ = hidden.shape
    starts = [(row, first) for row in range(rows) for first in range(0, width, _QUERIES)]
    queries = np.array([np.minimum(np.arange(first, first + _QUERIES), width - 1) for _, first in starts])
    needed = [np.flatnonzero(~hidden[row, own].all(0)) for (row, _), own in zip(starts, queries, strict=True)]
    size = max(map(len, needed))
    columns = np.zeros((len(starts), size), dtype=np.int64)
    mask = np.full((len(starts), _QUERIES, size), _NONE, dtype=np.float32)
    offsets = np.array([[row * width] for row, _ in starts])
    for k, ((row, _), seen) in enumerate(zip(starts, needed, strict=True)):
        columns[k, : len(seen)] = seen
        mask[k, :, : len(seen)][~hidden[row][np.ix_(queries[k], seen)]] = 0
    places = np.concatenate([np.arange(width) + row * -(-width // _QUERIES) * _QUERIES for row in range(rows)])
    flat = [(queries + offsets).ravel(), (columns + offsets).ravel(), mask, places]
    return Blocks(*map(torch.from_numpy, flat))


def attention_in_blocks(model: "PreTrainedModel") -> AbstractContextManager[bool]:
    """A float32 model on the CPU with transformers' "sdpa" attention knows `Blocks` inside; the value says whether."""
    return own_attention(model, NAME, _register)


@contextmanager
def reading(blocks: Blocks | None) -> Iterator[None]:
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

    (rows, heads, width, d), key_heads = query.shape, key.shape[1]
    blocks = _blocks.get()
    usual = blocks is None or options.get("position_bias") is not None or key.shape[-1] != value.shape[-1]
    if usual or key.shape[2] != width or blocks.places.shape[0] != rows * width:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    count, size, needed = blocks.mask.shape
    shared = heads // key_heads
    q, k, v = (part.transpose(1, 2).reshape(rows * width, -1, d) for part in (query, key, value))
    q = q[blocks.queries].view(count, size, key_heads, shared, d).permute(0, 2, 3, 1, 4)
    k, v = (part[blocks.columns].view(count, needed, key_heads, d).transpose(1, 2).flatten(0, 1) for part in (k, v))
    q = q.reshape(count * key_heads, shared * size, d) * (options.get("scaling") or d**-0.5)
    scores = torch.bmm(q, k.transpose(1, 2))
    scores.view(count, key_heads * shared, size, needed).add_(blocks.mask[:, None])
    mixed = torch.bmm(scores.softmax(-1), v).view(count, heads, size, d).transpose(1, 2)
    return mixed.reshape(count * size, heads, d)[blocks.places].view(rows, width, heads, d), None
