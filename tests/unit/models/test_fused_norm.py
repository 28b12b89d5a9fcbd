"""Norms of a frozen model: torch's own where the bits are the same, the model's own before and after."""

import pytest
import torch

from tests.tiny import tiny_model
from unlearn_bench.models._fused_norm import fused_norms


def _norms(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [module for module in model.modules() if type(module).__name__.endswith("RMSNorm")]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "phi3", "olmo2"])
@torch.inference_mode()
def test_logits_have_the_same_bits(kind: str) -> None:
    model, ids = tiny_model(kind), torch.arange(1, 13).view(2, 6)
    for norm in _norms(model):
        norm.weight.copy_(torch.rand_like(norm.weight) + 0.5)
    own, expected = _norms(model), model(ids).logits
    with fused_norms(model):
        assert all(type(norm) is torch.nn.RMSNorm for norm in _norms(model))
        assert torch.equal(model(ids).logits, expected)
    assert _norms(model) == own


@pytest.mark.parametrize("change", ["gemma2", "bfloat16", "hook"])
def test_other_norms_stay(change: str) -> None:
    model = tiny_model("gemma2" if change == "gemma2" else "llama")
    if change == "bfloat16":
        model.to(torch.bfloat16)
    own = _norms(model)
    for norm in own if change == "hook" else []:
        norm.register_forward_hook(lambda *_: None)
    with fused_norms(model):
        assert _norms(model) == own


def test_they_are_back_after_an_error() -> None:
    model = tiny_model()
    own = _norms(model)
    with pytest.raises(RuntimeError), fused_norms(model):
        raise RuntimeError
    assert _norms(model) == own
