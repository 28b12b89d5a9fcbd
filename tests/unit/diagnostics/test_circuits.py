import numpy as np
import pytest
import torch

from tests.unit.diagnostics import slow_reference as slow
from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, circuits
from unlearn_bench.diagnostics._decompose import Projection, View
from unlearn_bench.diagnostics._prompts import batches, encode_all
from unlearn_bench.errors import UserError

pytestmark = pytest.mark.slow


def _recorded(model, prompts, tokenizer, size=4):
    decoder = _hooks.find_decoder(model)
    parts = _hooks.attention_parts(decoder)
    batch = batches(prompts, tokenizer, decoder.device, size)[0]
    with _hooks.eager_attention(decoder):
        trace = _hooks.record(
            decoder, batch.ids, batch.mask, batch.where([p.asked for p in batch.prompts]), parts=parts
        )
    return decoder, parts, batch, trace


@pytest.fixture
def prompts(tokenizer, rows):
    return encode_all(rows, tokenizer, positions=4)[0]


@torch.no_grad()
def test_parts_equal_loops_over_the_weights(model, prompts, tokenizer):
    _, parts, batch, trace = _recorded(model, prompts, tokenizer)
    model.set_attn_implementation("eager")
    prompt = batch.prompts[1]
    for index, part in enumerate(parts):
        view = View(trace.blocks[index], Projection(part), 1, len(prompt.ids))
        whole, expected = slow.written(model, prompt.ids, index)
        torch.testing.assert_close(view.attention, whole, atol=1e-5, rtol=1e-4)
        for target in (0, 3, len(prompt.ids) - 1):
            heads = view.heads(target)
            for h in range(heads.shape[0]):
                for s in range(target + 1):
                    torch.testing.assert_close(heads[h, s], expected[target, h, s], atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_parts_sum_to_the_attention_output_and_the_block(model, prompts, tokenizer):
    decoder, parts, batch, trace = _recorded(model, prompts, tokenizer)
    for index, part in enumerate(parts):
        for row, prompt in enumerate(batch.prompts):
            view = View(trace.blocks[index], Projection(part), row, len(prompt.ids))
            assert view.error() < 1e-4
            target = len(prompt.ids) - 1
            every = view.heads(target).sum((0, 1)) + view.others(target).sum(0)
            torch.testing.assert_close(every, view.middle[target], atol=1e-4, rtol=1e-4)
    assert circuits.Tracer(decoder, parts).trace(trace.blocks, 0, batch.prompts[0]).error < 1e-4


@torch.no_grad()
def test_contributions_equal_the_formula_part_by_part(model, prompts, tokenizer):
    decoder, parts, batch, trace = _recorded(model, prompts, tokenizer)
    prompt, answer = batch.prompts[0], batch.prompts[0].entity[0] - 1
    circuit = circuits.Tracer(decoder, parts).trace(trace.blocks, 0, prompt)
    model.set_attn_implementation("eager")
    hidden = model(torch.tensor([prompt.ids]), output_hidden_states=True).hidden_states
    outputs = slow.block_outputs(model, prompt.ids)
    parallel = getattr(model.config, "use_parallel_residual", False)
    for index in range(3):
        whole, written = slow.written(model, prompt.ids, index)
        entry = hidden[index][0, answer]
        middle = outputs[index][answer] if parallel else entry + whole[answer]
        by_source = {(h, s): slow.contribution(p, middle) for (t, h, s), p in written.items() if t == answer}
        others = [slow.contribution(entry, middle)]
        if parallel:
            others.append(slow.contribution(middle - entry - whole[answer], middle))
        bias = whole[answer] - sum(p for (t, _, _), p in written.items() if t == answer)
        if model.config.model_type == "gpt_neox":
            others.append(slow.contribution(bias, middle))
        total = sum(by_source.values()) + sum(others)
        for head in range(4):
            expected = sum(v for (h, _), v in by_source.items() if h == head) / total
            assert circuit.heads[index, head] == pytest.approx(expected, abs=1e-4)
        for source in range(answer + 1):
            expected = sum(v for (_, s), v in by_source.items() if s == source) / total
            assert circuit.sources[index, source] == pytest.approx(expected, abs=1e-4)
        assert circuit.residual[index] == pytest.approx(others[0] / total, abs=1e-4)


def test_contributions_sum_to_one_at_every_node(model, prompts, tokenizer):
    decoder, parts, batch, trace = _recorded(model, prompts, tokenizer)
    prompt, answer = batch.prompts[0], batch.prompts[0].entity[0] - 1
    # With no threshold every part is an edge. A bias is a part, but comes from no token: its share is missing.
    edges = circuits.Tracer(decoder, parts).trace(trace.blocks, 0, prompt, threshold=0.0).edges
    biased = model.config.model_type == "gpt_neox"
    for above, target in {(e["above"], e["target"]) for e in edges}:
        into = edges[(edges["above"] == above) & (edges["target"] == target)]
        total = into["weight"].sum()
        assert total == pytest.approx(1, abs=1e-4) or (
            biased and (into["kind"] == circuits.ATTENTION).any() and 0 < total < 1
        )
        assert (into["source"] <= target).all()
    assert {e["target"] for e in edges[edges["above"] == 6]} == {answer}
    # attention and MLP of a parallel block join one sum: there is no node between them
    parallel = getattr(model.config, "use_parallel_residual", False)
    assert (edges["below"] % 2 == 0).all() == parallel
    assert ((edges["kind"] == circuits.AROUND_MLP).any()) == (not parallel)


def test_contributions_by_hand():
    # |y| = 4. Without (2, 0): |(1, 1)| = 2, so 2. Without (0, 1): 3, so 1. Without (1, 0): 3, so 1. Sum 4.
    parts = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert circuits.contributions(parts, parts.sum(0)).tolist() == [0.5, 0.25, 0.25]


def test_a_part_that_points_away_gets_the_floor():
    parts = torch.tensor([[3.0, 0.0], [-1.0, 0.0]])  # y = 2; without the second it would be 3
    found = circuits.contributions(parts, parts.sum(0))
    # max(2 - 1, 1e-5) = 1 and max(2 - 3, 1e-5) = 1e-5
    assert found.tolist() == pytest.approx([1 / 1.00001, 1e-5 / 1.00001])


def _edge(below, above, kind, source, target, weight):
    return (below, above, kind, 0 if kind == circuits.ATTENTION else -1, source, target, weight)


def test_follow_keeps_only_what_leads_to_the_answer():
    edges = np.array(
        [
            _edge(3, 4, circuits.AROUND_MLP, 5, 5, 0.7),
            _edge(3, 4, circuits.MLP, 5, 5, 0.3),
            _edge(2, 3, circuits.RESIDUAL, 5, 5, 0.05),
            _edge(2, 3, circuits.ATTENTION, 2, 5, 0.5),
            _edge(1, 2, circuits.AROUND_MLP, 2, 2, 0.9),
            _edge(0, 1, circuits.RESIDUAL, 2, 2, 0.9),
            _edge(1, 2, circuits.AROUND_MLP, 5, 5, 0.9),  # reached only through the weak residual edge
            _edge(1, 2, circuits.AROUND_MLP, 4, 4, 0.9),  # never reached
        ],
        dtype=circuits.WEIGHTED_EDGE,
    )
    assert len(circuits.follow(edges, 5, 2, 0.04)) == 7
    kept = circuits.follow(edges, 5, 2, 0.06)
    assert len(kept) == 5
    assert {(e["above"], e["target"]) for e in kept} == {(4, 5), (3, 5), (2, 2), (1, 2)}


def test_a_higher_threshold_gives_the_same_graph_as_tracing_with_it(model, prompts, tokenizer):
    decoder, parts, batch, trace = _recorded(model, prompts, tokenizer)
    tracer, prompt = circuits.Tracer(decoder, parts), batch.prompts[0]
    answer = prompt.entity[0] - 1
    low, high = (tracer.trace(trace.blocks, 0, prompt, threshold=t) for t in (0.04, 0.08))
    left, right = (circuits.follow(c.edges, answer, 3, 0.08) for c in (low, high))
    assert len(left) == len(right) == len(high.edges)
    assert circuits.graph_difference(left, right) == 0


def test_graph_difference_by_hand():
    edges = np.array([_edge(0, 1, circuits.ATTENTION, s, 5, 0.5) for s in range(4)], dtype=circuits.WEIGHTED_EDGE)
    assert circuits.graph_difference(edges[:3], edges[1:]) == 0.5  # 2 of 4 in common
    assert circuits.graph_difference(edges[:2], edges[2:]) == 1
    assert circuits.graph_difference(edges[:0], edges[:0]) == 0


def test_shares_sum_to_one_and_go_to_the_right_tokens(prompts):
    prompt = prompts[0]
    assert {prompt.pieces[i] for i in prompt.subject} == set(prompt.cluster.split())
    sources = np.zeros((2, prompt.entity[0]))
    sources[0, min(prompt.subject)] = 0.2
    sources[1, min(prompt.template)] = 0.1
    sources[1, 0] = 0.1
    assert circuits.shares(sources, prompt) == pytest.approx({"subject": 0.5, "template": 0.25, "rest": 0.25})


def test_a_block_that_joins_its_parts_otherwise_is_refused(prompts, tokenizer):
    model = build("llama")
    layer_class = type(model.model.layers[1])

    class Scaled(layer_class):
        def forward(self, *args, **kwargs):
            return 1.5 * super().forward(*args, **kwargs)

    model.model.layers[1].__class__ = Scaled
    decoder, parts, batch, trace = _recorded(model, prompts, tokenizer)
    with pytest.raises(UserError, match="circuits does not support LlamaForCausalLM"):
        circuits.Tracer(decoder, parts).trace(trace.blocks, 0, batch.prompts[0])


def test_half_precision_passes_its_own_tolerance(prompts, tokenizer):
    decoder, parts, batch, trace = _recorded(build("llama").to(torch.bfloat16), prompts, tokenizer)
    circuit = circuits.Tracer(decoder, parts).trace(trace.blocks, 0, batch.prompts[0])
    assert 0 < circuit.error < 3e-2


def test_adapters_count():
    """The output projection is read by what it does, so an unmerged adapter changes it."""
    peft = pytest.importorskip("peft")
    model = build("llama")
    plain = Projection(_hooks.attention_parts(_hooks.find_decoder(model))[0]).weight
    config = peft.LoraConfig(r=2, target_modules=["o_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, config).eval()
    found = Projection(_hooks.attention_parts(_hooks.find_decoder(adapted))[0]).weight
    layer = adapted.get_base_model().model.layers[0].self_attn.o_proj
    torch.testing.assert_close(found, plain + layer.get_delta_weight("default").T, atol=1e-5, rtol=1e-4)
