import numpy as np
import pytest
import torch

from tests.unit.diagnostics import slow_reference as slow
from unlearn_bench.diagnostics import _hooks, logit_lens, token_distribution
from unlearn_bench.diagnostics._prompts import batches, encode_all


@pytest.fixture
def prompts(tokenizer, rows):
    return encode_all(rows, tokenizer, positions=4)[0]


@torch.no_grad()
def test_every_level_equals_a_pass_without_hooks(model, prompts, tokenizer):
    decoder = _hooks.find_decoder(model)
    batch = batches(prompts, tokenizer, decoder.device, 4)[0]
    asked = [p.asked for p in batch.prompts]
    trace = _hooks.record(decoder, batch.ids, batch.mask, batch.where(asked))
    lens = logit_lens.measure(trace.hidden, batch.targets(asked), decoder.unembed)
    flat = 0
    for prompt in batch.prompts:
        levels = slow.logits_by_level(model, prompt.ids)  # one prompt at a time: padding must not matter
        for token in prompt.asked:
            p = levels[:, token - 1].double().softmax(-1)
            gold = prompt.ids[token]
            kl = [(p[-1] * (p[-1].log() - q.log())).sum().item() for q in p]
            assert lens.kl[flat] == pytest.approx(kl, abs=1e-4)
            assert lens.probability[flat] == pytest.approx(p[:, gold].tolist(), abs=1e-5)
            assert lens.rank[flat] == pytest.approx([(q > q[gold]).sum().item() + 1 for q in p], abs=0)
            assert lens.top_ids[flat, :, 0].tolist() == p.argmax(-1).tolist()
            flat += 1
    assert flat == len(lens.kl)
    assert (lens.kl[:, -1] == 0).all()


@torch.no_grad()
def test_last_level_is_the_output(model, prompts, tokenizer):
    decoder = _hooks.find_decoder(model)
    batch = batches(prompts, tokenizer, decoder.device, 8)[0]
    where = batch.where([p.asked for p in batch.prompts])
    trace = _hooks.record(decoder, batch.ids, batch.mask, where)
    own = model(input_ids=batch.ids, attention_mask=batch.mask).logits[where]
    torch.testing.assert_close(decoder.read(trace.final), own)
    torch.testing.assert_close(decoder.unembed(trace.hidden[-1]), own)


def test_forward_kl_has_the_final_layer_first():
    # KL(final || layer) = 0.5 ln(0.5 / 0.9) + 0.5 ln(0.5 / 0.1) = 0.5108; the other direction is 0.3681
    final, layer = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
    assert logit_lens.forward_kl(final, layer).item() == pytest.approx(0.5108, abs=1e-4)
    assert logit_lens.forward_kl(layer, final).item() == pytest.approx(0.3681, abs=1e-4)


def test_forward_kl_with_an_impossible_token_is_finite():
    final = torch.tensor([1.0, 0.0]).log()
    assert logit_lens.forward_kl(final, torch.tensor([0.5, 0.5]).log()).item() == pytest.approx(np.log(2), rel=1e-6)


def test_formation_needs_the_answer_to_stay():
    # 9 is first seen at layer 1, lost at 2, and stays from 3 on
    assert logit_lens.formation_layer(np.array([1, 9, 4, 9, 9])).item() == 3
    assert logit_lens.formation_layer(np.array([9, 9, 9])).item() == 1  # the embedding is no layer


def test_largest_jump_is_a_drop_even_where_kl_rises():
    # the drop of 20 from the embedding does not count
    size, layer = logit_lens.largest_jump(np.array([[29.0, 9.0, 9.5, 2.0, 0.0]]))
    assert (size.tolist(), layer.tolist()) == ([7.5], [3])
    assert logit_lens.largest_jump(np.array([[3.0, 0.0]]))[0].tolist() == [0]


def test_residual_counts_only_where_the_output_is_silent():
    rank = np.array([[40.0, 3.0, 50.0], [40.0, 3.0, 1.0], [40.0, 9.0, 50.0], [1.0, 30.0, 50.0]])
    says_gold = np.array([False, True, False, False])
    assert logit_lens.residual(rank, says_gold).tolist() == [True, False, False, False]
    assert logit_lens.residual(rank, says_gold, residual_rank=9).tolist() == [True, False, True, False]


def test_a_flat_level_ranks_gold_in_the_middle():
    # all 11 logits equal: the middle rank is 6, not 1: a dead layer must not look as if it knew
    hidden = [torch.zeros(1, 4), torch.ones(1, 4)]
    lens = logit_lens.measure(hidden, torch.tensor([7]), lambda h: h.new_zeros(1, 11))
    assert lens.rank.tolist() == [[6.0, 6.0]]


def test_broken_states_are_marked_not_measured():
    hidden = [torch.ones(2, 4), torch.ones(2, 4)]
    unembed = lambda h: torch.tensor([[1.0, 2.0, 3.0, 0, 0, 0], [float("nan")] * 6])  # noqa: E731
    lens = logit_lens.measure(hidden, torch.tensor([0, 0]), unembed)
    assert lens.finite.tolist() == [True, False]
    assert np.isfinite(lens.kl).all()


def test_lens_and_distribution_agree_at_the_output(model, prompts, tokenizer):
    decoder = _hooks.find_decoder(model)
    batch = batches(prompts, tokenizer, decoder.device, 8)[0]
    asked = [p.asked for p in batch.prompts]
    trace = _hooks.record(decoder, batch.ids, batch.mask, batch.where(asked))
    gold = batch.targets(asked)
    lens = logit_lens.measure(trace.hidden, gold, decoder.unembed)
    out = token_distribution.measure(decoder.read(trace.final), gold)
    assert lens.rank[:, -1] == pytest.approx(out.gold_rank)
    assert lens.probability[:, -1] == pytest.approx(out.gold_probability, rel=1e-4)
