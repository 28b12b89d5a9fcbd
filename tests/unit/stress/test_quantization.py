import pytest
import torch

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.models import quantize
from unlearn_bench.stress.base import CannotRun, Subject
from unlearn_bench.stress.quantization import STRESS, apply


def _subject(model, tmp_path, **settings):
    return Subject(model, tiny_tokenizer(), {}, tmp_path, **settings)


def _lora(seed=0):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    return model.eval()


def _state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("variant", [name for name in STRESS.variants if name != "nf4_base"])
def test_weights_are_quantized_inside_and_their_own_outside(variant, tmp_path):
    model = tiny_model()
    before = _state(model)
    with apply(variant, _subject(model, tmp_path)) as changed:
        layer = changed.model.layers[1].mlp.down_proj.weight
        own = before["model.layers.1.mlp.down_proj.weight"]
        assert torch.equal(layer, quantize.SCHEMES[variant](own).weight)
        assert not torch.equal(layer, own)
        assert torch.equal(changed.lm_head.weight, before["lm_head.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_weights_are_put_back_after_an_error(tmp_path):
    model = tiny_model()
    before = _state(model)
    with pytest.raises(RuntimeError, match="asking failed"), apply("nf4", _subject(model, tmp_path)):
        raise RuntimeError("asking failed")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_merged_adapter_and_one_over_a_quantized_base_are_two_exams(tmp_path):
    model = _lora()
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    base, delta, before = layer.base_layer.weight.clone(), layer.get_delta_weight("default"), _state(model)
    with apply("nf4", _subject(model, tmp_path)):
        torch.testing.assert_close(layer.base_layer.weight, quantize.nf4(base + delta).weight)
        assert layer.merged
    with apply("nf4_base", _subject(model, tmp_path)):
        assert torch.equal(layer.base_layer.weight, quantize.nf4(base).weight)
        assert not layer.merged
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_adapter_over_a_quantized_base_needs_an_adapter_of_the_judged_model_only(tmp_path):
    with pytest.raises(CannotRun, match="needs an adapter"), apply("nf4_base", _subject(tiny_model(), tmp_path)):
        pass
    control = tiny_model()
    with apply("nf4_base", _subject(control, tmp_path, judged=False)):
        assert len(control.model.layers[0].mlp.up_proj.weight.unique()) < 2048


def test_code_flips_are_those_of_the_original(tmp_path):
    original, model = tiny_model(), tiny_model()
    subject = _subject(model, tmp_path, original=lambda: original)
    with apply("int4", subject):
        pass
    assert subject.facts == {"code_flips": 0.0}
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.neg_()
    with apply("int4", subject):
        pass
    weights = [layer.weight.numel() for _, layer in quantize.quantizable(original)]
    moved = quantize.int4(original.model.layers[0].mlp.up_proj.weight).codes.count_nonzero().item()
    assert subject.facts["code_flips"] == pytest.approx(moved / sum(weights))


def test_an_original_of_another_shape_cannot_be_compared(tmp_path):
    other = tiny_model(intermediate_size=32)
    with (
        pytest.raises(CannotRun, match="other layers"),
        apply("nf4", _subject(tiny_model(), tmp_path, original=lambda: other)),
    ):
        pass


def _pushed(matrix, generator):
    """Every weight moved to a random place inside its NF4 bucket; what sets a block's scale stays."""
    table = torch.tensor(quantize.NF4)
    middles = (table[1:] + table[:-1]) / 2
    blocks = matrix.flatten().view(-1, quantize.BLOCK)
    scale = blocks.abs().amax(1, keepdim=True)
    codes = quantize.nf4(matrix).codes.flatten().view(blocks.shape).long()
    low = torch.cat([table[:1], middles])[codes] * scale
    high = torch.cat([middles, table[-1:]])[codes] * scale
    share = 0.02 + 0.96 * torch.rand(blocks.shape, generator=generator)
    return torch.where(blocks.abs() == scale, blocks, low + share * (high - low)).view(matrix.shape)


def test_what_hides_inside_the_buckets_of_one_scheme_is_found_by_that_scheme_only(tmp_path):
    """A planted checkpoint: as the original under NF4 to the last bit, and another one everywhere else."""
    original, hidden = tiny_model(), tiny_model()
    generator = torch.Generator().manual_seed(0)
    for _, layer in quantize.quantizable(hidden):
        quantize.set_matrix(layer, _pushed(quantize.as_matrix(layer), generator))
    ids = torch.arange(8, 40)[None]

    def answers(model):
        return model(ids).logits.argmax(-1)

    with torch.no_grad():
        assert not torch.equal(answers(hidden), answers(original))
        for variant, equal in (("nf4", True), ("int8", False), ("int4", False), ("fp4", False), ("q4_0", False)):
            planted = _subject(hidden, tmp_path, original=lambda: original)
            with apply(variant, planted):
                found = hidden(ids).logits
            with apply(variant, _subject(original, tmp_path, judged=False)):
                assert torch.equal(found, original(ids).logits) == equal, variant
            assert (planted.facts["code_flips"] == 0) == equal, variant
