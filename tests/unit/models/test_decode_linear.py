"""Packed products of decode steps: the bits of plain ones, only inside the context, only where they help."""

import pytest
import torch
from torch import nn

from tests.tiny import tiny_model
from unlearn_bench.models import _decode_linear
from unlearn_bench.models._decode_linear import packed_for_decoding
from unlearn_bench.models.generation import generate_greedy

pytestmark = pytest.mark.skipif(not _decode_linear._available(), reason="this torch has no MKL")
ENDS = frozenset({2})


@pytest.fixture
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_decode_linear, "LEAST_WEIGHTS", 1)
    monkeypatch.setattr(_decode_linear, "_SMALLEST", 1)


def _layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(96, 80), nn.Linear(80, 64, bias=False)).eval()


def _kinds(model: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in model]


@torch.inference_mode()
def test_any_number_of_rows_has_the_values_of_a_large_product(small_ones_too: None) -> None:
    model, x = _layers(), torch.randn(20, 1, 96)
    expected = model(x)
    with packed_for_decoding(model, 20):
        assert _kinds(model) == ["PackedLinear"] * 2
        for rows in (20, 17, 8, 2):
            torch.testing.assert_close(model(x[:rows]), expected[:rows], atol=1e-6, rtol=1e-5)
        exact = model(x)
        assert all(torch.equal(model(x[:rows]), exact[:rows]) for rows in (17, 8, 2))
        assert model(x.expand(20, 3, 96)).shape == (20, 3, 64)  # more rows than were packed for
        assert model[0].weight is not None
        assert model[1].bias is None
    assert _kinds(model) == ["Linear"] * 2
    assert torch.equal(model(x), expected)


def test_the_layers_come_back_after_an_error(small_ones_too: None) -> None:
    model = _layers()
    before = list(model)
    with pytest.raises(RuntimeError), packed_for_decoding(model, 4):
        raise RuntimeError
    assert all(a is b for a, b in zip(model, before, strict=True))


def test_what_cannot_be_packed_stays(small_ones_too: None, monkeypatch: pytest.MonkeyPatch) -> None:
    hooked, half, own = _layers(), _layers().to(torch.bfloat16), _layers()
    hooked[0].register_forward_hook(lambda *args: None)
    own[0] = type("Quantised", (nn.Linear,), {})(96, 80)
    for model, kinds in (
        (hooked, ["Linear", "PackedLinear"]),
        (half, ["Linear", "Linear"]),
        (own, ["Quantised", "PackedLinear"]),
    ):
        with packed_for_decoding(model, 4):
            assert _kinds(model) == kinds
    with packed_for_decoding(hooked, 1):  # one row gains nothing
        assert _kinds(hooked) == ["Linear", "Linear"]
    monkeypatch.setattr(_decode_linear, "_free_memory", lambda: 1000)
    with packed_for_decoding(hooked, 4):
        assert _kinds(hooked) == ["Linear", "Linear"]


class _Siblings(nn.Module):
    def __init__(self, *, bias: bool = False, odd: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q_proj, self.k_proj = nn.Linear(96, 80, bias=bias), nn.Linear(96, 32, bias=bias)
        self.v_proj = nn.Linear(96, 32, bias=bias != odd)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        return [self.q_proj(x), self.k_proj(y), self.v_proj(x)]


@pytest.mark.parametrize("bias", [False, True])
@torch.inference_mode()
def test_siblings_are_one_product_with_the_bits_of_several(
    small_ones_too: None, monkeypatch: pytest.MonkeyPatch, bias: bool
) -> None:
    model, x, y = _Siblings(bias=bias).eval(), torch.randn(6, 1, 96), torch.randn(6, 1, 96)
    monkeypatch.setattr(_decode_linear, "_SIBLINGS", ())
    with packed_for_decoding(model, 8):
        alone, crossed = model(x, x), model(x, y)
    monkeypatch.undo()
    monkeypatch.setattr(_decode_linear, "LEAST_WEIGHTS", 1)
    monkeypatch.setattr(_decode_linear, "_SMALLEST", 1)
    with packed_for_decoding(model, 8):
        for _ in range(2):
            assert all(map(torch.equal, model(x, x), alone))
            assert all(map(torch.equal, model(x, y), crossed))  # another tensor gets its own product
        assert model.q_proj(x) is not None  # a product that nobody asks for further
        assert torch.equal(model.k_proj(y), crossed[1])


def test_siblings_with_and_without_bias_stay_apart(small_ones_too: None) -> None:
    places = _decode_linear._places(_Siblings(odd=True))
    assert [len(group) for group in _decode_linear._groups(places)] == [1, 1, 1]
    assert [len(group) for group in _decode_linear._groups(_decode_linear._places(_Siblings()))] == [3]


def test_small_models_are_not_packed() -> None:
    with packed_for_decoding(model := _layers(), 4):
        assert _kinds(model) == ["Linear", "Linear"]


def test_answers_are_those_of_plain_layers(small_ones_too: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    prompts = [[9 + (7 * i + k) % 50 for k in range(3 + i % 5)] for i in range(11)]
    settings = {"max_new_tokens": 24, "end_ids": ENDS, "pad_id": 0, "batch_size": 4}
    packed: list[int] = []
    make = _decode_linear._packed
    monkeypatch.setattr(
        _decode_linear, "_packed", lambda linears, rows: packed.append((len(linears), rows)) or make(linears, rows)
    )
    found = generate_greedy(model, prompts, **settings)
    assert set(packed) == {(3, 4), (2, 4), (1, 4)}  # q, k, v; gate, up; the others alone
    monkeypatch.setattr(_decode_linear, "_available", lambda: False)
    assert generate_greedy(model, prompts, **settings).tokens == found.tokens
