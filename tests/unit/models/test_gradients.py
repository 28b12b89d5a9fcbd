"""Norms of gradients: those of an independent computation, for every kind of weight, and nothing of the model moves."""

import copy
import math

import pytest
import torch

from tests.tiny import tiny_model
from unlearn_bench.models.gradients import ADAPTER, QUANTIZED, GradientNorms
from unlearn_bench.models.likelihood import TokenSequence

TEXTS = [TokenSequence((4, 9, 12, 20, 3, 7, 30), 3), TokenSequence((5, 11, 9), 1), TokenSequence((8, 8, 21, 6), 2)]


def by_hand(model, sequence, *, order=2):
    """`torch.autograd.grad` of a loss written out, and the mean over distinct tensors of their norms."""
    weights = list({id(w): w.requires_grad_(True) for w in model.parameters()}.values())
    ids = torch.tensor([list(sequence.ids)])
    with torch.enable_grad():
        log_p = torch.log(torch.softmax(model(input_ids=ids).logits[0].double(), -1))
        told = [log_p[place - 1, sequence.ids[place]] for place in range(sequence.start, len(sequence.ids))]
        found = torch.autograd.grad(-sum(told) / len(told), weights, allow_unused=True)
    norms = [(g.double().abs() ** order).sum().item() ** (1 / order) for g in found if g is not None]
    return sum(norms) / len(norms)


def measured(model, texts=TEXTS):
    return list(GradientNorms(model)(texts))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("gemma2", {}),  # tied, and logits that are more than the output layer's
        ("gpt_neox", {}),
    ],
)
def test_norms_are_those_of_a_computation_by_hand(architecture, changes):
    model = tiny_model(architecture, **changes)
    found = measured(model)
    for sequence, norms in zip(TEXTS, found, strict=True):
        assert norms.l2 == pytest.approx(by_hand(model, sequence), rel=1e-5)
        assert norms.l1 == pytest.approx(by_hand(model, sequence, order=1), rel=1e-5)
        assert 0 < norms.largest < norms.l2
    assert measured(model, TEXTS[::-1]) == found[::-1]  # whoever is read beside it


def test_tied_weights_are_one_tensor():
    tied = tiny_model(tie_word_embeddings=True)
    apart = copy.deepcopy(tied)
    apart.lm_head.weight = torch.nn.Parameter(tied.lm_head.weight.detach().clone())
    assert len(list(tied.parameters())) + 1 == len(list(apart.parameters()))
    (one,), (two,) = measured(tied, TEXTS[:1]), measured(apart, TEXTS[:1])
    assert one.l2 == pytest.approx(by_hand(tied, TEXTS[0]), rel=1e-5) != pytest.approx(two.l2, rel=1e-3)


def test_nothing_of_the_model_moves():
    model = tiny_model()
    expected = measured(model)
    first, *others = model.parameters()
    first.grad = torch.ones_like(first)
    for weight in others:
        weight.requires_grad_(False)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert measured(model) == expected  # frozen weights count, and gradients that are there do not
    assert torch.equal(first.grad, torch.ones_like(first))
    assert first.requires_grad
    assert not any(weight.requires_grad or weight.grad is not None for weight in others)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert not any(weight._post_accumulate_grad_hooks for weight in model.parameters())


def test_at_most_one_gradient_of_a_tensor_is_held(monkeypatch):
    model = tiny_model()
    held, vector_norm = [], torch.linalg.vector_norm

    def counted(*given, **named):
        held.append(sum(w.grad.numel() for w in model.parameters() if w.grad is not None))
        return vector_norm(*given, **named)

    monkeypatch.setattr(torch.linalg, "vector_norm", counted)
    measured(model, TEXTS[:1])
    assert len(held) == 3 * len(list(model.parameters()))
    assert max(held) <= max(weight.numel() for weight in model.parameters())


def test_half_precision_is_near_and_nan_stays_in_its_text():
    whole, half = measured(tiny_model()), measured(tiny_model().bfloat16())
    for exact, near in zip(whole, half, strict=True):
        assert near.l2 == pytest.approx(exact.l2, rel=0.1)
    spoilt = tiny_model()
    with torch.no_grad():
        spoilt.get_input_embeddings().weight[21] = math.nan
    assert [math.isnan(norms.l2) for norms in measured(spoilt)] == [False, False, True]


def adapted(**config):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = get_peft_model(tiny_model(), LoraConfig(r=2, task_type="CAUSAL_LM", **config)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3)
    return model


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj", "down_proj"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "v_proj"]},
    ],
)
def test_an_adapters_gradients_are_those_of_the_merged_model(config):
    model = adapted(**config)
    found = measured(model)
    merged = model.merge_and_unload()
    for sequence, norms in zip(TEXTS, found, strict=True):
        assert norms.l2 == pytest.approx(by_hand(merged, sequence), rel=1e-4)


def test_weights_without_such_gradients_are_named():
    assert GradientNorms(tiny_model()).why_none() is None
    assert GradientNorms(adapted(target_modules=["q_proj"])).why_none() is None
    assert GradientNorms(adapted(target_modules=["q_proj"], use_dora=True)).why_none() == ADAPTER
    packed = tiny_model()
    packed.register_parameter("codes", torch.nn.Parameter(torch.zeros(3, dtype=torch.uint8), requires_grad=False))
    assert GradientNorms(packed).why_none() == QUANTIZED
