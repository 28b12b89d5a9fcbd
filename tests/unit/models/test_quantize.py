import numpy as np
import pytest
import torch
from scipy.stats import norm

from unlearn_bench.errors import UserError
from unlearn_bench.models import quantize


@pytest.fixture
def weight():
    return torch.randn(24, 256, generator=torch.Generator().manual_seed(0)) * 0.02


def test_nf4_values_are_the_normal_quantiles_of_the_paper():
    # QLoRA, section 3 and appendix E: 8 quantiles of one half, 7 of the other, and zero, scaled to [-1, 1]; the
    # outermost probability is the mean of 1 - 1 / 32 and 1 - 1 / 30, which keeps it from being infinite.
    offset = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))
    positive = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    negative = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    values = np.sort([*negative, 0.0, *positive])
    assert values / np.abs(values).max() == pytest.approx(quantize.NF4, abs=2e-6)


def test_fp4_values_are_those_of_a_float_with_two_exponent_bits_and_one_mantissa_bit():
    # bitsandbytes' FP4: sign, 2 exponent bits, 1 mantissa bit. Exponents 1, 2 and 3 give 2 (1 + m / 2) 2^(e - 1): 2 3,
    # 4 6, 8 12; exponent 0 is subnormal: 0 and 0.0625; scaled by the largest, 12.
    half = [0.0, 0.0625, *(2 * (1 + m / 2) * 2 ** (e - 1) for e in (1, 2, 3) for m in (0, 1))]
    expected = sorted({sign * value / 12 for value in half for sign in (-1, 1)})
    assert len(quantize.FP4) == 15
    assert list(quantize.FP4) == pytest.approx(expected)


def test_int8_and_int4_by_hand():
    # row maxima 2 and 1: 127 / 2 and 127 / 1
    weight = torch.tensor([[2.0, -1.0, 0.5], [0.1, -1.0, 0.25]])
    assert quantize.int8(weight).codes.tolist() == [
        [127, -64, 32],
        [13, -127, 32],
    ]  # 63.5 and 31.75: rounded half to even
    # groups of 2 along a row, the last one short: 7 / 2, 7 / 0.5; 7 / 1, 7 / 0.25
    assert quantize.int4(weight, group=2).codes.tolist() == [[7, -4, 7], [1, -7, 7]]


def test_groups_do_not_cross_rows_but_blocks_do():
    weight = torch.ones(2, 96)
    weight[0, 0] = 16.0
    # int4: the first row's one group holds the 16, so its ones round to 7 / 16 -> 0; the second row is untouched
    assert quantize.int4(weight).codes[:, 95].tolist() == [0, 7]
    # blocks of 64 over 192 weights: the first 64 feel the 16, the rest of that row does not
    assert (quantize.nf4(weight).codes.flatten() == 15).sum() == 192 - 63


def test_an_update_inside_the_buckets_flips_nothing():
    before = torch.tensor([[1.0, 0.30, -0.30, 0.0]])
    after = torch.tensor([[1.0, 0.31, -0.295, 0.0]])
    for scheme in ("int4", "nf4", "fp4"):
        assert quantize.code_flip(before, after, quantize.SCHEMES[scheme]) == 0
    # int8: 127 * 0.30 = 38.1, 127 * 0.31 = 39.4, 127 * 0.295 = 37.5 (37.465): two of four flip
    assert quantize.code_flip(before, after, quantize.SCHEMES["int8"]) == 0.5


def test_a_zero_matrix_has_codes():
    zero = torch.zeros(2, 70)
    for scheme in quantize.SCHEMES.values():
        assert len(scheme(zero).codes.unique()) == 1
        assert not scheme(zero).weight.any()


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_four_bit_floats_equal_bitsandbytes(kind, weight):
    functional = pytest.importorskip("bitsandbytes").functional
    packed, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind)
    theirs = functional.dequantize_4bit(packed, state)
    torch.testing.assert_close(quantize.SCHEMES[kind](weight).weight, theirs, atol=1e-6, rtol=0)


def test_int8_equals_bitsandbytes(weight):
    functional = pytest.importorskip("bitsandbytes").functional
    codes, scale, _ = functional.int8_vectorwise_quant(weight.half())
    found = quantize.int8(weight.half().float())
    torch.testing.assert_close(found.weight, functional.int8_vectorwise_dequant(codes, scale), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "levels", "block"), [("int8", 127, (1, 256)), ("int8_tensor", 127, (24, 256)), ("int4", 7, (1, 128))]
)
def test_integers_equal_torchao(name, levels, block, weight):
    theirs = pytest.importorskip("torchao.quantization.quant_primitives")
    limits = {"quant_min": -levels, "quant_max": levels}
    scale, zero = theirs.choose_qparams_affine(
        weight, theirs.MappingType.SYMMETRIC, block, torch.int8, eps=1e-12, scale_dtype=torch.float32, **limits
    )
    codes = theirs.quantize_affine(weight, block, scale, zero, torch.int8, **limits)
    found = quantize.SCHEMES[name](weight)
    assert torch.equal(found.codes, codes)
    back = theirs.dequantize_affine(codes, block, scale, zero, torch.int8, **limits)
    torch.testing.assert_close(found.weight, back, atol=1e-6, rtol=0)


def test_q4_0_equals_gguf(weight):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType.Q4_0
    theirs = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)
    np.testing.assert_array_equal(quantize.q4_0(weight).weight.numpy(), theirs)


@pytest.mark.parametrize("name", sorted(quantize.SCHEMES))
def test_a_quantized_matrix_is_a_fixed_point_of_its_codes(name, weight):
    once = quantize.SCHEMES[name](weight)
    assert torch.equal(quantize.SCHEMES[name](once.weight).codes, once.codes)


def test_one_outlier_wrecks_a_scale_for_the_whole_matrix(weight):
    weight[3, 5] = 50.0
    error = {name: (quantize.SCHEMES[name](weight).weight - weight).abs() for name in ("int8", "int8_tensor")}
    assert error["int8"][:3].max() < 5e-4
    assert not quantize.int8_tensor(weight).weight[:3].any()


def test_layers_that_quantizers_replace():
    from tests.tiny import tiny_model

    model = tiny_model()
    names = {name for name, _ in quantize.quantizable(model)}
    assert "lm_head" not in names
    assert len(names) == 2 * 7  # q, k, v, o, gate, up, down of two blocks
    model.model.layers[0].mlp.up_proj.weight = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.uint8), False)
    with pytest.raises(UserError, match=r"layers.0.mlp.up_proj are quantized already"):
        list(quantize.quantizable(model))
