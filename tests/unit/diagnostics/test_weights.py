import numpy as np
import pytest
import torch
from scipy.stats import norm

from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, weights
from unlearn_bench.errors import UserError


def test_nf4_values_are_the_normal_quantiles_of_the_paper():
    # QLoRA, section 3 and appendix E: 8 quantiles of one half, 7 of the other, and zero, scaled to [-1, 1]; the
    # outermost probability is the mean of 1 - 1 / 32 and 1 - 1 / 30, which keeps it from being infinite.
    offset = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))
    positive = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    negative = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    values = np.sort([*negative, 0.0, *positive])
    assert values / np.abs(values).max() == pytest.approx(weights.NF4, abs=2e-6)


def test_fp4_values_are_those_of_a_float_with_two_exponent_bits_and_one_mantissa_bit():
    # bitsandbytes' FP4: sign, 2 exponent bits, 1 mantissa bit. Exponents 1, 2 and 3 give 2 (1 + m / 2) 2^(e - 1): 2 3,
    # 4 6, 8 12; exponent 0 is subnormal: 0 and 0.0625; scaled by the largest, 12.
    half = [0.0, 0.0625, *(2 * (1 + m / 2) * 2 ** (e - 1) for e in (1, 2, 3) for m in (0, 1))]
    expected = sorted({sign * value / 12 for value in half for sign in (-1, 1)})
    assert len(weights.FP4) == 15
    assert list(weights.FP4) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "codes", "table"), [("nf4", weights.codes_nf4, weights.NF4), ("fp4", weights.codes_fp4, weights.FP4)]
)
def test_dequantized_values_equal_bitsandbytes(kind, codes, table):
    functional = pytest.importorskip("bitsandbytes").functional
    # 128 columns: on a CPU, bitsandbytes 0.50.2 misreads blocks that cross rows
    weight = torch.randn(24, 128, generator=torch.Generator().manual_seed(0)) * 0.02
    packed, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind)
    scale = weight.flatten().view(-1, 64).abs().amax(1, keepdim=True)
    ours = torch.tensor(table)[codes(weight).flatten().long()].view(-1, 64) * scale
    torch.testing.assert_close(ours.view(weight.shape), functional.dequantize_4bit(packed, state), atol=1e-6, rtol=0)


def test_int8_and_int4_by_hand():
    # row maxima 2 and 1: 127 / 2 and 127 / 1
    weight = torch.tensor([[2.0, -1.0, 0.5], [0.1, -1.0, 0.25]])
    assert weights.codes_int8(weight).tolist() == [
        [127, -64, 32],
        [13, -127, 32],
    ]  # 63.5 and 31.75: rounded half to even
    # groups of 2 along a row, the last one short: 7 / 2, 7 / 0.5; 7 / 1, 7 / 0.25
    assert weights.codes_int4(weight, group=2).tolist() == [[7, -4, 7], [1, -7, 7]]


def test_groups_do_not_cross_rows_but_blocks_do():
    weight = torch.ones(2, 96)
    weight[0, 0] = 16.0
    # int4: the first row's one group holds the 16, so its ones round to 7 / 16 -> 0; the second row is untouched
    assert weights.codes_int4(weight)[:, 95].tolist() == [0, 7]
    # blocks of 64 over 192 weights: the first 64 feel the 16, the rest of that row does not
    assert (weights.codes_nf4(weight).flatten() == 15).sum() == 192 - 63


def test_an_update_inside_the_buckets_flips_nothing():
    before = torch.tensor([[1.0, 0.30, -0.30, 0.0]])
    after = torch.tensor([[1.0, 0.31, -0.295, 0.0]])
    for scheme in ("int4", "nf4", "fp4"):
        assert weights.code_flip(before, after, weights.SCHEMES[scheme]) == 0
    # int8: 127 * 0.30 = 38.1, 127 * 0.31 = 39.4, 127 * 0.295 = 37.5 (37.465): two of four flip
    assert weights.code_flip(before, after, weights.SCHEMES["int8"]) == 0.5


def test_a_zero_matrix_has_codes():
    zero = torch.zeros(2, 70)
    for codes in weights.SCHEMES.values():
        assert len(codes(zero).unique()) == 1


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
