import numpy as np
import pytest
import torch

from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, weights
from unlearn_bench.errors import UserError


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_effective_rank_equals_singular_values(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    share = (s := np.linalg.svd(matrix, compute_uv=False)) / s.sum()
    assert weights.effective_rank(torch.tensor(matrix)) == pytest.approx(
        np.exp(-(share * np.log(share)).sum()), rel=1e-8
    )


def test_effective_rank_of_a_low_rank_update():
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(64, 2, generator=generator), torch.randn(2, 80, generator=generator)
    rank = weights.effective_rank(1e-6 * left @ right)
    assert 1.5 < rank < 2.01
    assert weights.effective_rank(torch.zeros(3, 3)) is None


def test_update_norm_of_what_was_zero():
    assert weights.update_norm(torch.zeros(2), torch.zeros(2)) == 0
    assert weights.update_norm(torch.zeros(2), torch.ones(2)) is None


def _changed(before, after):
    return {c.name: c for c in weights.compare(_hooks.find_decoder(after), _hooks.find_decoder(before))}


def test_the_same_model_has_not_changed(model):
    for change in _changed(model, model).values():
        assert change.update_norm == 0
        assert change.effective_rank is None
        assert set(change.flips.values()) <= {0.0}


def test_one_moved_matrix_is_found():
    before, after = build("llama"), build("llama")
    weight = after.model.layers[1].mlp.up_proj.weight
    with torch.no_grad():
        weight[0] *= 3
    changes = _changed(before, after)
    moved = [name for name, c in changes.items() if c.update_norm]
    assert moved == ["model.layers.1.mlp.up_proj.weight"]
    change = changes[moved[0]]
    assert change.layer == 1
    assert change.effective_rank == pytest.approx(1, abs=1e-5)  # one row: rank 1
    old = before.model.layers[1].mlp.up_proj.weight
    assert change.update_norm == pytest.approx((2 * old[0].norm() / old.norm()).item(), rel=1e-5)
    # a row scaled as a whole keeps its int8 and int4 codes: each row has its own scale
    assert change.flips["int8"] == change.flips["int4"] == 0
    assert change.flips["nf4"] > 0


def test_embeddings_and_norms_have_no_codes():
    changes = _changed(build("llama"), build("llama", seed=1))
    assert not changes["model.embed_tokens.weight"].flips
    assert changes["model.embed_tokens.weight"].layer is None
    assert not changes["model.layers.0.input_layernorm.weight"].flips
    assert set(changes["model.layers.0.mlp.up_proj.weight"].flips) == {"int8", "int4", "nf4", "fp4"}


def test_an_adapter_is_an_update():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(build("llama"), config).eval()
    before = build("llama")
    changes = _changed(before, adapted)
    merged = adapted.merge_and_unload()
    assert {n for n, c in changes.items() if c.update_norm} == {
        f"model.layers.{i}.self_attn.q_proj.weight" for i in range(3)
    }
    expected = _changed(before, merged)
    for name, change in changes.items():
        assert change.update_norm == pytest.approx(expected[name].update_norm, rel=1e-4)
    assert changes["model.layers.0.self_attn.q_proj.weight"].effective_rank <= 2.01


def test_models_of_different_shape_are_refused():
    with pytest.raises(UserError, match="differ in shape"):
        _changed(build("llama"), build("llama", num_hidden_layers=2))
