import pytest
import torch
from torch import nn

from tests.unit.diagnostics import slow_reference as slow
from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks
from unlearn_bench.diagnostics._prompts import batches, encode_all
from unlearn_bench.errors import UserError


def test_hidden_states_equal_blocks_cut_off(model, tokenizer, rows):
    decoder = _hooks.find_decoder(model)
    batch = batches(encode_all(rows, tokenizer)[0], tokenizer, decoder.device, 4)[0]
    prompt = batch.prompts[0]
    where = (torch.zeros(len(prompt.ids), dtype=torch.long), torch.arange(len(prompt.ids)))
    trace = _hooks.record(decoder, batch.ids, batch.mask, where)
    with torch.no_grad():
        for level, output in enumerate(slow.block_outputs(model, prompt.ids)):
            torch.testing.assert_close(trace.hidden[level + 1], output, atol=1e-5, rtol=1e-4)


def test_no_hook_stays_even_after_an_error(model, tokenizer, rows):
    decoder = _hooks.find_decoder(model)
    batch = batches(encode_all(rows, tokenizer)[0], tokenizer, decoder.device, 4)[0]
    with pytest.raises(IndexError):
        _hooks.record(decoder, batch.ids, batch.mask, (torch.tensor([0]), torch.tensor([10_000])))
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_the_attention_kind_comes_back():
    decoder = _hooks.find_decoder(build("llama"))
    before = decoder.model.config._attn_implementation
    with _hooks.eager_attention(decoder):
        assert decoder.model.config._attn_implementation == "eager"
    assert decoder.model.config._attn_implementation == before != "eager"


def test_scaled_logits_are_refused_not_misread():
    model = build("llama")

    class Scaled(type(model)):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = out.logits * 0.5
            return out

    model.__class__ = Scaled
    with pytest.raises(UserError, match="its logits are not the unembedding"):
        _hooks.find_decoder(model)


def test_what_has_no_layers_is_refused():
    with pytest.raises(UserError, match="diagnose does not support Linear: no layers"):
        _hooks.find_decoder(nn.Linear(2, 2))


def test_unknown_attention_is_refused_for_circuits_only():
    model = build("llama")
    model.model.layers[0].self_attn.add_module("strange_proj", model.model.layers[0].self_attn.v_proj)
    decoder = _hooks.find_decoder(model)
    del model.model.layers[0].self_attn.v_proj
    with pytest.raises(UserError, match="LlamaDecoderLayer has no attention"):
        _hooks.attention_parts(decoder)


def test_nan_weights_are_broken_not_unsupported():
    model = build("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.fill_(float("nan"))
    assert _hooks.find_decoder(model).name == "LlamaForCausalLM"
