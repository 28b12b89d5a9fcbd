"""Attention of decode steps: the values of transformers' own, with padding, grouped queries and joined rows."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from unlearn_bench.models._decode_attention import NAME, attention_for_decoding
from unlearn_bench.models.generation import generate_greedy, greedy

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}


def _models() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    sliding = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    return [
        LlamaForCausalLM(LlamaConfig(**SHAPE)).eval(),
        Qwen3ForCausalLM(Qwen3Config(**SHAPE)).eval(),
        Qwen3ForCausalLM(Qwen3Config(**SHAPE, **sliding)).eval(),
    ]


@pytest.mark.parametrize("number", range(3))
@torch.inference_mode()
def test_a_decode_step_has_the_logits_of_sdpa(number: int) -> None:
    from transformers import DynamicCache

    model = _models()[number]
    ids = torch.randint(3, 64, (3, 7))
    mask = torch.ones(3, 8, dtype=torch.long)
    mask[0, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)

    def step() -> torch.Tensor:
        cache = DynamicCache()
        model(input_ids=ids, attention_mask=mask[:, :7], position_ids=positions[:, :7], past_key_values=cache)
        last = {"attention_mask": mask, "position_ids": positions[:, 7:], "past_key_values": cache}
        return model(input_ids=ids[:, :1], **last).logits

    expected = step()
    with attention_for_decoding(model):
        assert model.config._attn_implementation == NAME
        found = step()
    assert model.config._attn_implementation == "sdpa"
    assert (found - expected).abs().max() < 1e-4


def test_answers_are_those_of_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _models()[0]
    prompts = [[9 + (7 * i + k) % 50 for k in range(3 + i % 5)] for i in range(11)]
    settings = {"max_new_tokens": 24, "end_ids": frozenset({2}), "pad_id": 0, "batch_size": 4}
    found = generate_greedy(model, prompts, **settings)
    model.set_attn_implementation("eager")
    assert generate_greedy(model, prompts, **settings).tokens == found.tokens


def test_sdpa_is_back_after_an_error_and_others_stay() -> None:
    model = _models()[0]
    with pytest.raises(RuntimeError), attention_for_decoding(model):
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa"
    for other in (_models()[0].to(torch.bfloat16), _models()[0]):
        if other.dtype == torch.float32:
            other.set_attn_implementation("eager")
        before = other.config._attn_implementation
        with attention_for_decoding(other):
            assert other.config._attn_implementation == before


def test_the_first_of_equal_tokens_and_nan_are_chosen_as_by_torch() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [0.0, float("nan"), 9.0]])
    for kind in (torch.float32, torch.bfloat16):
        assert greedy(logits.to(kind), [0, 1]) == logits.argmax(-1).tolist() == [1, 1]
