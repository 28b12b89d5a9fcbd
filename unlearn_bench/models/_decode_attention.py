"""Attention of decode steps on the CPU: one query for each row, keys and values as they lie in the cache.

    softmax(q K^T scale + mask) V        q (rows, heads, 1, d), K and V (rows, key heads, columns, d)

torch's fused kernel is made for many queries: for one it takes 30 % longer than two batched products (20 rows, 90
columns, SmolLM2-135M), and turns a boolean mask into numbers in every layer. Queries that share a key head
(grouped-query attention) are rows of one product. Prefills, and whatever else a model asks for, go to transformers' own
function.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

from unlearn_bench.models._own_attention import own_attention

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "unlearn_bench_decoding"  # in transformers' registry of attention functions


def attention_for_decoding(model: "PreTrainedModel") -> AbstractContextManager[bool]:
    """A float32 model on the CPU that has transformers' "sdpa" attention decodes with this one inside."""
    return own_attention(model, NAME, _register)


@cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


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

    if query.shape[2] != 1 or options.get("position_bias") is not None or key.shape[-1] != value.shape[-1]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    (rows, heads, _, d), (key_heads, columns) = query.shape, key.shape[1:3]
    scale = options.get("scaling") or d**-0.5
    grouped = query.reshape(rows * key_heads, heads // key_heads, d) * scale
    scores = torch.bmm(grouped, key.flatten(0, 1).transpose(1, 2))
    if attention_mask is not None:
        scores.view(rows, heads, columns).add_(attention_mask[:, :, 0])
    mixed = torch.bmm(scores.softmax(-1), value.flatten(0, 1))
    return mixed.view(rows, 1, heads, d), None


def _mask(batch_size: int, q_length: int, *arguments: object, **options: object) -> "torch.Tensor | None":
    """The mask of "sdpa"; of a decode step as numbers to add: 0, or the least one where nothing may be seen."""
    import torch
    from transformers.masking_utils import sdpa_mask

    seen = sdpa_mask(batch_size, q_length, *arguments, **options)
    if seen is None or q_length != 1:
        return seen
    return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, torch.finfo(torch.float32).min)
