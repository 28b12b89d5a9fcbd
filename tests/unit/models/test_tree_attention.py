"""Attention in blocks against the whole product, and how much of it is left."""

import numpy as np
import pytest
import torch

from tests.tiny import tiny_model
from tests.unit.models.test_likelihood import DETAILED, SEQUENCES, agrees
from unlearn_bench.models import _tree_attention
from unlearn_bench.models._packing import pack
from unlearn_bench.models._tree_attention import attention_in_blocks, blocks_of
from unlearn_bench.models.likelihood import TeacherForcing


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2", "phi3", "gpt_neox", "olmo2"])
def test_blocks_of_any_size_give_the_values_of_a_plain_loop(kind, size, monkeypatch):
    monkeypatch.setattr(_tree_attention, "_QUERIES", size)
    agrees(tiny_model(kind))


def test_several_rows_of_different_length_in_a_batch(monkeypatch):
    monkeypatch.setattr(_tree_attention, "_QUERIES", 4)
    monkeypatch.setattr("unlearn_bench.models.likelihood._ROW_TOKENS_IN_BLOCKS", 11)
    agrees(tiny_model())


def test_a_block_has_the_columns_that_one_of_its_queries_sees(monkeypatch):
    monkeypatch.setattr(_tree_attention, "_QUERIES", 4)
    (row,) = pack(SEQUENCES, 512)
    hidden = ~row.visible()
    blocks = blocks_of(np.stack([hidden, hidden]))
    seen = np.zeros((2, *hidden.shape), dtype=bool)
    for block in blocks:
        own = np.zeros((len(block.mask), len(row)), dtype=bool)
        own[:, block.columns] = (block.mask == 0).numpy()
        seen[block.row, block.queries] = own
        assert (block.mask == 0).any(0).all()  # no column is there for nothing
    assert (seen == ~hidden).all()
    assert sum(block.mask.numel() for block in blocks) < 0.6 * 2 * hidden.size
    assert any(isinstance(block.columns, slice) for block in blocks)


def test_no_attention_but_that_of_blocks_is_asked_in_packed_rows(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the whole product")

    model = tiny_model()
    forced = TeacherForcing(model)
    forced(SEQUENCES, DETAILED)  # the trial reads sequences one by one, too
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    forced(SEQUENCES, DETAILED)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("change", ["bfloat16", "eager"])
def test_other_models_keep_their_attention(change):
    model = tiny_model()
    if change == "eager":
        model.set_attn_implementation("eager")
    else:
        model.to(torch.bfloat16)
    with attention_in_blocks(model) as known:
        assert not known
        assert model.config._attn_implementation == ("eager" if change == "eager" else "sdpa")
