import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy
from scipy.stats import rankdata

from unlearn_bench.diagnostics import token_distribution as td


@pytest.fixture
def logits():
    return torch.randn(6, 40, generator=torch.Generator().manual_seed(3)) * 3


def test_entropy_and_divergence_equal_scipy(logits):
    other = logits.flip(0)
    measured = td.measure(logits, torch.arange(6), other)
    p, q = logits.double().softmax(-1).numpy(), other.double().softmax(-1).numpy()
    assert measured.entropy == pytest.approx(scipy_entropy(p, axis=-1), rel=1e-5)
    # scipy gives the distance, the square root of the divergence, in nats
    assert measured.divergence == pytest.approx(jensenshannon(p, q, axis=-1) ** 2, abs=1e-6)
    assert measured.original_entropy == pytest.approx(scipy_entropy(q, axis=-1), rel=1e-5)


def test_ranks_equal_scipy_with_ties():
    scores = torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0, 1.0]])
    expected = rankdata(-scores.numpy()[0], method="average")
    for token in range(6):
        assert td.middle_rank(scores, torch.tensor([token])).item() == expected[token]


def test_candidates_of_the_judged_and_the_reference_model(logits):
    reference = logits.roll(1, 0)
    measured = td.measure(logits, torch.zeros(6, dtype=torch.long), reference, top_k=3)
    p = logits.softmax(-1)
    for i in range(6):
        order = p[i].argsort(descending=True)
        anchor = reference[i].argmax().item()
        assert measured.top_ids[i].tolist() == order[:3].tolist()
        assert measured.top_mass[i] == pytest.approx(p[i][order[:3]].sum().item(), rel=1e-5)
        assert measured.anchor[i] == anchor
        assert measured.anchor_rank[i] == order.tolist().index(anchor) + 1
        assert measured.anchor_probability[i] == pytest.approx(p[i, anchor].item(), rel=1e-5)


def test_divergence_is_zero_for_the_same_and_log_two_for_disjoint():
    sure = torch.full((1, 4), -200.0)
    first, second = sure.clone(), sure.clone()
    first[0, 0], second[0, 3] = 200.0, 200.0
    gold = torch.tensor([0])
    assert td.measure(first, gold, first, top_k=2).divergence.item() == 0
    assert td.measure(first, gold, second, top_k=2).divergence.item() == pytest.approx(np.log(2))


def test_flattened_and_repeaked_exclude_each_other():
    entropy = np.array([0.2, 2.0, 0.2, 0.2])
    reference = np.array([0.1, 0.1, 0.1, 0.1])
    flat = td.flattened(entropy, reference)
    assert flat.tolist() == [False, True, False, False]
    # the reference's token; flattened; another token with 0.9; another token without a majority
    top, probability, anchor = np.array([7, 1, 1, 1]), np.array([0.9, 0.9, 0.9, 0.4]), np.full(4, 7)
    assert td.repeaked(flat, top, probability, anchor).tolist() == [False, False, True, False]


def test_the_margins_are_strict():
    assert not td.flattened(np.array([1.5]), np.array([0.5])).any()
    assert td.repeaked(np.array([False]), np.array([1]), np.array([0.5]), np.array([0])).all()


def test_a_broken_model_is_marked():
    logits = torch.tensor([[0.0, 1.0, 2.0], [float("nan"), 0.0, 0.0], [float("inf"), 0.0, 0.0]])
    measured = td.measure(logits, torch.tensor([0, 0, 0]), top_k=2)
    assert measured.finite.tolist() == [True, False, False]
    assert np.isfinite(measured.entropy).all()


def test_minus_infinity_is_an_impossible_token_not_a_broken_model():
    measured = td.measure(torch.tensor([[0.0, 0.0, float("-inf")]]), torch.tensor([0]), top_k=2)
    assert measured.finite.tolist() == [True]
    assert measured.entropy.item() == pytest.approx(np.log(2))
