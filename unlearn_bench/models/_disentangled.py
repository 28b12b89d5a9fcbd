"""DeBERTa's disentangled attention for inference: what depends on the weights alone is computed once.

    score(i, j) = ( q_i . k_j + q_i . K[d(i-j)] + k_j . Q[d(i-j)] ) / sqrt(3 h)        d buckets the distance i - j

DeBERTa, arXiv 2006.03654, eq. 4; K = W_k P and Q = W_q P project the table P of relative positions. transformers
projects the whole table (512 rows) in every layer of every call, which for one pair of 90 tokens is as much work as the
pair itself, and then gathers rows with index tensors of the size of the scores. Here the projections are kept, only the
2L - 1 distances that occur are multiplied, and the scores are read from the products by a strided view: in row i the
distance to j is column j - i + L - 1, so one step down is one column back.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def speed_up_deberta(model: "torch.nn.Module") -> "torch.nn.Module":
    """Put the attention of this module in place of that of a DeBERTa v2 or v3; other models stay as they are.

    The projected positions are copies: who changes a weight of the model afterwards must not expect it to be seen.

    Args:
        model: In evaluation mode, on the device where it stays.

    Returns:
        The same model.
    """
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder

    for encoder in [m for m in model.modules() if type(m) is DebertaV2Encoder and m.relative_attention]:
        for layer in encoder.layer:
            layer.attention.self = _inference_attention(layer.attention.self, encoder)
    return model


def _inference_attention(trained: "torch.nn.Module", encoder: "torch.nn.Module") -> "torch.nn.Module":
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    heads, size, distances = trained.num_attention_heads, trained.attention_head_size, trained.pos_ebd_size
    scale = 1 / math.sqrt(size * (1 + ("c2p" in trained.pos_att_type) + ("p2c" in trained.pos_att_type)))

    def split(x: torch.Tensor) -> torch.Tensor:
        """(..., L, heads * size) -> (..., heads, L, size)."""
        return x.unflatten(-1, (heads, size)).transpose(-2, -3)

    @torch.inference_mode()
    def project(kind: str) -> torch.Tensor:
        """Scaled projections of the table, (heads, rows, size)."""
        own = f"pos_{kind}_proj"
        projection = getattr(trained, f"{kind}_proj" if trained.share_att_key else own)
        return split(projection(encoder.get_rel_embedding()[: 2 * trained.pos_ebd_size])).contiguous() * scale

    class InferenceAttention(torch.nn.Module):
        # `trained` is no name that the class keeps: its weights would stay in memory beside the packed ones
        def __init__(self, trained: torch.nn.Module, keys: torch.Tensor | None, queries: torch.Tensor | None) -> None:
            super().__init__()
            self.query_proj, self.key_proj, self.value_proj = trained.query_proj, trained.key_proj, trained.value_proj
            self.position_keys, self.position_queries = keys, queries

        def forward(
            self,
            hidden_states: torch.Tensor,
            attention_mask: torch.Tensor,
            output_attentions: bool = False,
            query_states: torch.Tensor | None = None,
            relative_pos: torch.Tensor | None = None,
            rel_embeddings: torch.Tensor | None = None,
        ) -> tuple[torch.Tensor, None]:
            query, key, value = (
                split(projection(hidden_states)) for projection in (self.query_proj, self.key_proj, self.value_proj)
            )
            # Masked rows are never read, so a mask of the keys will do: the diagonal of mask x mask.
            bias = torch.zeros(len(key), 1, 1, key.shape[2], dtype=key.dtype, device=key.device)
            bias.masked_fill_(
                ~attention_mask.bool().diagonal(dim1=-2, dim2=-1).unsqueeze(-2), torch.finfo(key.dtype).min
            )
            # Column L - 1 + d of a product belongs to the distance d of key and query, j - i.
            towards = torch.cat([relative_pos[0, 1:, 0].flip(0), relative_pos[0, 0]]) + distances
            rows = towards.clamp(0, 2 * distances - 1)
            if self.position_keys is not None:
                bias = bias + _by_distance(query, self.position_keys[:, rows])
            if self.position_queries is not None:
                bias = bias + _by_distance(key, self.position_queries[:, rows.flip(0)]).transpose(-1, -2)
            context = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
            return context.transpose(1, 2).flatten(2), None

    keys = project("key") if "c2p" in trained.pos_att_type else None
    queries = project("query") if "p2c" in trained.pos_att_type else None
    return InferenceAttention(trained, keys, queries)


def _by_distance(content: "torch.Tensor", positions: "torch.Tensor") -> "torch.Tensor":
    """out[b, h, i, j] = content[b, h, i] . positions[h, j - i + L - 1].

    Args:
        content: (B, heads, L, size).
        positions: (heads, 2L - 1, size), by distance j - i from -(L - 1) to L - 1.

    Returns:
        (B, heads, L, L), a view.
    """
    import torch

    batch, heads, length, _ = content.shape
    products = torch.bmm(content.transpose(0, 1).reshape(heads, batch * length, -1), positions.transpose(1, 2))
    width = 2 * length - 1
    strides = (length * width, batch * length * width, width - 1, 1)
    return products.as_strided((batch, heads, length, length), strides, length - 1)
