"""What makes scoring fast on a CPU changes no score: against the plain modules of torch and transformers."""

import copy
import gc
import weakref

import pytest
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from unlearn_bench.models import _packed_linear
from unlearn_bench.models._batching import tokens_per_batch
from unlearn_bench.models._disentangled import speed_up_deberta
from unlearn_bench.models._packed_linear import pack_linear_layers

VARIANTS = {
    "v3": {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "position_buckets": 8},
    "own projections": {"share_att_key": False, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    "content to position": {"share_att_key": True, "pos_att_type": ["c2p"], "position_buckets": -1},
    "position to content": {"share_att_key": True, "pos_att_type": ["p2c"], "position_buckets": -1},
    "convolution": {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "conv_kernel_size": 3},
}


def deberta(**options: object) -> DebertaV2ForSequenceClassification:
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        relative_attention=True,
        max_position_embeddings=40,
        position_biased_input=False,
        type_vocab_size=0,
        pooler_hidden_size=32,
        initializer_range=0.3,
        num_labels=3,
        **options,
    )
    return DebertaV2ForSequenceClassification(config).eval()


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("length", [1, 5, 40])
def test_deberta_judges_as_before(variant: str, length: int) -> None:
    """Buckets of 8 begin to be logarithmic at a distance of 4, so 40 tokens use all of them."""
    plain = deberta(**VARIANTS[variant])
    fast = speed_up_deberta(copy.deepcopy(plain))
    ids = torch.randint(4, 64, (3, length))
    mask = torch.ones_like(ids)
    mask[1, length // 2 + 1 :] = 0
    with torch.inference_mode():
        expected, found = (m(input_ids=ids, attention_mask=mask).logits for m in (plain, fast))
        turned = fast(input_ids=ids.flip(1), attention_mask=mask.flip(1)).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert length == 1 or not torch.allclose(turned, expected, atol=1e-3)  # the positions matter


def test_packed_layers_multiply_as_before() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Linear(256, 300), torch.nn.Linear(300, 257, bias=False), torch.nn.Linear(257, 3)
    )
    packed = pack_linear_layers(copy.deepcopy(layers))
    x = torch.randn(2, 256, 9).transpose(1, 2)  # not contiguous
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), layers(x), atol=1e-6, rtol=1e-5)
    assert type(packed[2]) is torch.nn.Linear  # too small to gain
    assert (type(packed[0]) is not torch.nn.Linear) == _packed_linear._supported()


@pytest.mark.skipif(not _packed_linear._supported(), reason="this processor packs nothing")
def test_the_weights_that_were_packed_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packed_linear, "_SMALLEST", 1)
    model = deberta(**VARIANTS["v3"])
    linears = [weakref.ref(m.weight) for m in model.modules() if type(m) is torch.nn.Linear]
    pack_linear_layers(speed_up_deberta(model))
    gc.collect()
    assert len(linears) > 10
    assert [ref for ref in linears if ref() is not None] == []


def test_other_processors_and_precisions_keep_their_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    half = pack_linear_layers(torch.nn.Sequential(torch.nn.Linear(256, 256, dtype=torch.bfloat16)))
    assert type(half[0]) is torch.nn.Linear
    monkeypatch.setattr(_packed_linear, "_supported", lambda: False)
    assert type(pack_linear_layers(torch.nn.Sequential(torch.nn.Linear(256, 256)))[0]) is torch.nn.Linear


def test_batches_are_small_on_a_cpu_only() -> None:
    assert tokens_per_batch("cpu", accelerator=8192) < 1000
    assert tokens_per_batch("cuda", accelerator=8192) == 8192
