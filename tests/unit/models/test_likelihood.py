"""Likelihoods against a plain loop: one sequence at a time, all logits, nothing shared."""

import numpy as np
import pytest
import torch

from tests.tiny import tiny_model
from unlearn_bench.models import likelihood
from unlearn_bench.models._packing import TokenSequence
from unlearn_bench.models.likelihood import TeacherForcing

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
