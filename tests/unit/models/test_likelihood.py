"""Likelihoods against a plain loop: one sequence at a time, all logits, nothing shared."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.tiny import tiny_model
from unlearn_bench.models import likelihood
from unlearn_bench.models._output_layer import OutputLayer
from unlearn_bench.models._packing import TokenSequence, pack
from unlearn_bench.models.likelihood import LEAST_LOGPROB, TeacherForcing

# several continuations of a prompt, prompts that begin alike, a continuation that continues another, a lone sequence
PROMPTS = [(1, 9, 10, 11), (1, 9, 10, 12, 13), (1, 20)]
ANSWERS = [(30, 31, 32, 2), (30, 31, 33, 2), (30, 31), (40,), (41, 42, 43, 44, 45, 46, 2)]
SEQUENCES = [TokenSequence(p + a, len(p)) for p in PROMPTS for a in ANSWERS] + [TokenSequence((50, 51, 52), 1)]
DETAILED = [i % 3 == 0 for i in range(len(SEQUENCES))]


def plain(model, sequence):
    """(4, T): log-probability, hit, mean and variance, as their definitions say."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([sequence.ids])).logits[0].double()
    found = []
    for t in range(sequence.start, len(sequence.ids)):
        log_p = logits[t - 1].log_softmax(-1)
        p = log_p.exp()
        mean = (p * log_p).sum()
        hit = float(log_p.argmax() == sequence.ids[t])
        found.append([log_p[sequence.ids[t]], hit, mean, (p * (log_p - mean) ** 2).sum()])
    return np.array(found, dtype=float).T


def agrees(model, sequences=SEQUENCES, detailed=DETAILED, **settings):
    for sequence, wanted, values in zip(
        sequences, detailed, TeacherForcing(model, **settings)(sequences, detailed), strict=True
    ):
        expected = plain(model, sequence)
        assert values.logprobs == pytest.approx(expected[0], abs=1e-5)
        assert (values.hits is None) is not wanted
        if wanted:
            assert values.hits.tolist() == expected[1].tolist()
            assert values.means == pytest.approx(expected[2], abs=1e-5)
            assert values.variances == pytest.approx(expected[3], abs=1e-5, rel=1e-5)


EXCLUDED = torch.tensor(31)
CHANGES = {"granite": {"logits_scaling": 3.0}, "gpt_neox": {}, "mamba": {"state_size": 4}}
KINDS = ("llama", "qwen2", "gemma2", "phi3", "gpt_neox", "olmo2", "cohere", "granite", "bloom", "opt", "mamba")


@pytest.mark.parametrize("max_tokens", [1, 24, 4096])
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_a_plain_loop(kind, max_tokens):
    agrees(tiny_model(kind, **CHANGES.get(kind, {})), max_tokens=max_tokens)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_same_in_small_blocks(kind, monkeypatch):
    monkeypatch.setitem(likelihood._BLOCK, "cpu", 3 * 64)
    agrees(tiny_model(kind))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2", "phi3"])
def test_same_with_the_vocabulary_in_parts(kind, monkeypatch):
    """Each block of P places gets parts of at most 200 / P of the 64 tokens; Gemma's capped logits come whole."""
    monkeypatch.setattr(likelihood, "_PART", 200)
    sizes, own = [], OutputLayer.parts

    def watched(self, *arguments):
        for first, logits in own(self, *arguments):
            sizes.append(logits.numel())
            yield first, logits

    monkeypatch.setattr(OutputLayer, "parts", watched)
    agrees(tiny_model(kind))
    assert len(sizes) > 5 or kind == "gemma2"
    assert max(sizes, default=0) <= 200


@pytest.mark.parametrize("elements", [1, 200, 1 << 20])
def test_a_part_of_the_vocabulary_may_be_excluded(elements, monkeypatch):
    monkeypatch.setattr(likelihood, "_PART", elements)
    model, wide = tiny_model(), torch.nn.Linear(32, 64)
    with torch.no_grad():
        wide.weight.copy_(model.get_output_embeddings().weight)
        wide.bias.fill_(0)[30:40] = -math.inf
    model.lm_head = wide
    for sequence, values in zip(SEQUENCES, TeacherForcing(model)(SEQUENCES, [True] * len(SEQUENCES)), strict=True):
        excluded = np.array([30 <= token < 40 for token in sequence.ids[sequence.start :]])
        assert (values.logprobs == LEAST_LOGPROB).tolist() == excluded.tolist()
        assert values.logprobs[~excluded] == pytest.approx(plain(model, sequence)[0][~excluded], abs=1e-5)
        assert np.isfinite(values.means).all()
        assert np.isfinite(values.variances).all()


def test_a_half_precision_model_is_read_in_float32(monkeypatch):
    """The log-softmax is float32; the logits are the model's own."""
    model = tiny_model().to(torch.bfloat16)
    for sequence, values in zip(
        SEQUENCES, TeacherForcing(model, max_tokens=1)(SEQUENCES, [True] * len(SEQUENCES)), strict=True
    ):
        assert values.logprobs == pytest.approx(plain(model, sequence)[0], abs=1e-5)
        assert values.means == pytest.approx(plain(model, sequence)[2], abs=1e-5)
    assert TeacherForcing(model)._packs


def test_an_adapter_is_part_of_the_model():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    settings = LoraConfig(target_modules=["q_proj", "lm_head"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(tiny_model(), settings).eval()
    agrees(model)
    with model.disable_adapter():
        assert (
            abs(plain(model, SEQUENCES[0])[0] - TeacherForcing(tiny_model())(SEQUENCES[:1], [False])[0].logprobs).max()
            < 1e-5
        )


def test_logits_are_never_held_for_a_batch(monkeypatch):
    """Peak elements of logits: one block, however long the continuations are."""
    monkeypatch.setitem(likelihood._BLOCK, "cpu", 16 * 64)
    model, seen = tiny_model(), []
    model.get_output_embeddings().register_forward_hook(lambda _m, _a, out: seen.append(out.numel()))
    long = [TokenSequence((1, *[3 + (7 * i + k) % 60 for i in range(200)]), 1) for k in range(8)]
    agrees(model, long, [True] * 8)
    own = seen[: -len(long)]  # the plain loop's come last
    assert max(own) <= 16 * 64
    assert sum(own) >= 8 * 200 * 64


def test_what_sequences_share_goes_through_the_model_once():
    model, tokens, heads = tiny_model(), [], []
    forced = TeacherForcing(model, max_tokens=4096)
    assert forced._packs
    model.register_forward_hook(lambda _m, _a, kwargs, _o: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True)
    model.get_output_embeddings().register_forward_hook(lambda _m, _a, out: heads.append(out.shape[0]))
    forced(SEQUENCES, DETAILED)
    distinct = {s.ids[:n] for s in SEQUENCES for n in range(1, len(s.ids))}  # the last token predicts nothing
    assert sum(tokens) == len(distinct)
    predicting = {s.ids[:n] for s in SEQUENCES for n in range(s.start, len(s.ids))}
    assert sum(heads[1:]) == len(predicting)  # the first is the place that is let through


@pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
def test_nan_stays_with_the_sequences_that_have_it(kind):
    spoilt, whole = (tiny_model(kind) for _ in range(2))
    with torch.no_grad():
        spoilt.get_input_embeddings().weight[33] = math.nan
    found = TeacherForcing(spoilt)(SEQUENCES, DETAILED)
    expected = TeacherForcing(whole)(SEQUENCES, DETAILED)
    for sequence, values, right in zip(SEQUENCES, found, expected, strict=True):
        broken = 33 in sequence.ids[:-1]
        assert np.isnan(values.logprobs).any() == broken
        if not broken:
            assert values.logprobs == pytest.approx(right.logprobs, abs=1e-5)


def test_an_excluded_token_is_finite():
    model = tiny_model()
    model.get_output_embeddings().register_forward_hook(lambda _m, _a, out: out.index_fill(-1, EXCLUDED, -math.inf))
    for sequence, values in zip(SEQUENCES, TeacherForcing(model)(SEQUENCES, [True] * len(SEQUENCES)), strict=True):
        excluded = np.array([token == EXCLUDED.item() for token in sequence.ids[sequence.start :]])
        assert (values.logprobs == LEAST_LOGPROB).tolist() == excluded.tolist()
        assert np.isfinite(values.means).all()
        assert np.isfinite(values.variances).all()


def test_one_token_options_cost_no_more_than_their_question():
    """Also where the question is longer than a row."""
    options = [TokenSequence((*range(3, 33), letter), 30) for letter in (40, 41, 42, 43)]
    for longest in (8, 64):
        (row,) = pack(options, longest)
        assert row.ids == list(range(3, 33))
        assert not row.branches
    agrees(tiny_model(), options, [True, False, False, True], max_tokens=8)


def test_rows_keep_the_continuations_of_a_prompt_together():
    rows = pack(SEQUENCES, 24)
    assert sorted(number for row in rows for number in row.paths) == list(range(len(SEQUENCES)))
    assert max(map(len, rows)) <= 24
    for row in rows:
        seen = row.visible()
        for number, places in row.paths.items():
            assert tuple(row.ids[place] for place in places) == SEQUENCES[number].read
            assert [row.depths[place] for place in places] == list(range(len(places)))
            assert set(np.flatnonzero(seen[places[-1]])) == set(places)
    prompts = [{SEQUENCES[number].ids[: SEQUENCES[number].start] for number in row.paths} for row in rows]
    assert sum(map(len, prompts)) == len({s.ids[: s.start] for s in SEQUENCES})


def test_nothing_asked_nothing_read():
    assert TeacherForcing(tiny_model())([], []) == []


def test_only_a_window_shorter_than_a_text_keeps_it_alone():
    def reads(**settings: object) -> list[int]:
        config = SimpleNamespace(max_position_embeddings=64, **settings)
        config.get_text_config = lambda: config
        model = SimpleNamespace(config=config, device=torch.device("cpu"), get_output_embeddings=lambda: None)
        forced = TeacherForcing(model)
        forced._cuts, forced._packs = True, True
        return [len(row) for row in forced._rows([TokenSequence((1, 2, 3, 4), 3), TokenSequence((1, 2, 3, 5, 6), 3)])]

    assert reads() == reads(sliding_window=5) == reads(window_size=[2, 2]) == [4]
    assert reads(sliding_window=4) == [3, 4]
