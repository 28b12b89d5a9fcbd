"""Early release and refill give what transformers' own generate gives, prompt by prompt, in nearly the ideal steps."""

import random

import pytest
import torch

from tests.tiny import ARCHITECTURES, tiny_model
from unlearn_bench.models.generation import generate_greedy

ENDS = frozenset(range(2, 9))


def _prompts(count: int, seed: int = 1) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(9, 64) for _ in range(rng.randrange(2, 20))] for _ in range(count)]


def _one_by_one(model, prompt: list[int], max_new_tokens: int) -> list[int]:
    output = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ENDS),
        pad_token_id=0,
    )
    return [t for t in output[0, len(prompt) :].tolist() if t not in ENDS]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "gpt2"])
def test_equals_transformers_one_by_one(architecture):
    changes = {} if architecture != "gpt2" else {"num_key_value_heads": None}
    model = tiny_model(architecture, **changes)
    prompts = _prompts(19)
    decoded = generate_greedy(model, prompts, max_new_tokens=24, end_ids=ENDS, pad_id=0, batch_size=8)
    expected = [_one_by_one(model, p, 24) for p in prompts]
    assert decoded.tokens == expected
    assert len({len(a) for a in expected}) > 3, "answers of one length would not test the refill"


def _calls(model) -> list[tuple[int, int]]:
    """(rows, tokens) of every call of the model from now on."""
    shapes: list[tuple[int, int]] = []
    model.register_forward_pre_hook(
        lambda _m, _a, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return shapes


@pytest.mark.parametrize(("architecture", "is_shared"), [("llama", True), ("gemma2", False), ("olmo2", True)])
def test_what_all_prompts_begin_with_goes_through_the_model_once(architecture, is_shared):
    """gemma2's window of 16 counts columns, so a row must not have padding inside."""
    model = tiny_model(architecture)
    beginning = _prompts(1, seed=3)[0][:1] * 3 + list(range(20, 33))
    prompts = [beginning + rest for rest in _prompts(11)]
    expected = [_one_by_one(model, prompt, 24) for prompt in prompts]
    calls = _calls(model)
    decoded = generate_greedy(model, prompts, max_new_tokens=24, end_ids=ENDS, pad_id=0, batch_size=4)
    assert decoded.tokens == expected
    assert ((1, len(beginning)) in calls) == is_shared
    longest = max(map(len, prompts)) - (len(beginning) if is_shared else 0)
    assert max(tokens for _, tokens in calls[is_shared:]) == longest
    assert len({len(answer) for answer in expected}) > 1


def test_equal_prompts_keep_a_token_of_their_own():
    model, prompt = tiny_model(), list(range(9, 40))
    decoded = generate_greedy(model, [prompt] * 5, max_new_tokens=9, end_ids=ENDS, pad_id=0, batch_size=2)
    assert decoded.tokens == [_one_by_one(model, prompt, 9)] * 5


class _Scripted(torch.nn.Module):
    """A model whose answer to prompt [n] has n tokens: lengths as of TOFU's answers, without a real model's cost."""

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cpu")

    def forward(self, input_ids, attention_mask, position_ids, past_key_values, use_cache, logits_to_keep=1):
        states = torch.zeros(len(input_ids), 1, input_ids.shape[1], 1)
        keys, _ = past_key_values.update(states + input_ids[:, None, :, None], states, 0)
        first = keys[:, 0, :, 0] * attention_mask
        wanted = first.max(dim=1).values  # the prompt's token is the largest: answers are made of token 9
        made = attention_mask.sum(1) - 1
        logits = torch.zeros(len(input_ids), 1, 100)
        logits[:, 0, 9] = 1
        logits[made >= wanted, 0, 2] = 2
        return type("Output", (), {"logits": logits, "past_key_values": past_key_values})


def test_steps_are_at_most_1_3_of_an_ideal_schedule():
    rng = random.Random(0)
    lengths = [max(10, min(99, round(rng.gauss(45, 15)))) for _ in range(400)]  # TOFU answers: about 45 tokens
    decoded = generate_greedy(
        _Scripted(), [[n] for n in lengths], max_new_tokens=128, end_ids=frozenset({2}), pad_id=0, batch_size=16
    )
    assert [len(t) for t in decoded.tokens] == lengths
    ideal = sum(lengths) / 16
    static = sum(max(lengths[i : i + 16]) for i in range(0, 400, 16))
    assert decoded.steps <= 1.15 * ideal
    assert static > 1.5 * ideal, "the comparison would say nothing if static batches were as good"


def test_nan_logits_end_the_answer_and_are_counted():
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[:] = float("nan")
    decoded = generate_greedy(model, _prompts(5), max_new_tokens=8, end_ids=ENDS, pad_id=0, batch_size=2)
    assert decoded.tokens == [[]] * 5
    assert decoded.nan == set(range(5))


def test_finished_answers_are_reported_once_each():
    counts: list[int] = []
    generate_greedy(
        tiny_model(), _prompts(11), max_new_tokens=6, end_ids=ENDS, pad_id=0, batch_size=4, on_finish=counts.append
    )
    assert sum(counts) == 11
