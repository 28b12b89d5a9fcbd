"""Each loss against the same formula written in numpy, from logits padded in the usual (B, T, V) way."""

import numpy as np
import pytest
import torch

from unlearn_bench.losses import LOSSES
from unlearn_bench.losses.base import Answers, answer_positions
from unlearn_bench.losses.pdu import dual_step

VOCABULARY = 7
# Two sequences of 6 positions: prompt of 2 and 3 tokens, answers of 3 and 2 tokens, one position of padding in each.
LABELS = np.array([[-100, -100, 3, 1, 6, -100], [-100, -100, -100, 2, 5, -100]])
LENGTHS = np.array([3.0, 2.0])


def _random(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, 6, VOCABULARY)) * 2


def _log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def _tokens(z: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """(sequence, token, logits that predict it) by explicit loops: the token at t is predicted at t - 1."""
    return [(b, LABELS[b, t], z[b, t - 1]) for b in range(2) for t in range(6) if LABELS[b, t] != -100]


def _nll(z: np.ndarray) -> np.ndarray:
    sums = np.zeros(2)
    for b, token, row in _tokens(z):
        sums[b] -= _log_softmax(row)[token]
    return sums


def _log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.log1p(np.exp(-x))


def _packed(z: np.ndarray) -> Answers:
    labels = torch.tensor(LABELS)
    at = answer_positions(labels)
    rows, places = at.nonzero(as_tuple=True)
    return Answers(
        labels=labels[rows, places + 1],
        sequence=rows,
        n_sequences=2,
        logits=torch.tensor(z, dtype=torch.float64)[at],
        all_logits=torch.tensor(z, dtype=torch.float64).flatten(0, 1),
    )


Z, Z0, ZI, ZI0, ZR = (_random(seed) for seed in range(5))
P, P0, PI, PI0, PR = (_packed(z) for z in (Z, Z0, ZI, ZI0, ZR))
P_T = np.array([np.exp(_log_softmax(row)[token]) for _, token, row in _tokens(Z)])


def _mean_over_tokens(f) -> float:
    return float(
        np.mean([f(row, row0, token) for (_, token, row), (_, _, row0) in zip(_tokens(Z), _tokens(Z0), strict=True)])
    )


def _softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(_log_softmax(z))


def _undial(row, row0, token, beta=10.0):
    shifted = row0.copy()
    shifted[token] -= beta
    return -(_softmax(shifted) * _log_softmax(row)).sum()


def _ceu(row, row0, token):
    others = np.delete(np.arange(VOCABULARY), token)
    return -(_softmax(row[others]) * _log_softmax(row)[others]).sum()


def _kl(p, q):
    return (_softmax(p) * (_log_softmax(p) - _log_softmax(q))).sum()


PO = -2 / 0.1 * _log_sigmoid(0.1 * ((_nll(ZI0) - _nll(ZI)) - (_nll(Z0) - _nll(Z))))
POSITIONS = [(b, t) for b in range(2) for t in range(6)]

CASES = {
    "ga": ((P.log_probs,), {}, np.log(P_T).mean()),
    "gdr": ((P.log_probs,), {}, -np.log(P_T).mean()),
    "relearn": ((P.log_probs,), {}, -np.log(P_T).mean()),
    "idk_nll": ((PI.log_probs,), {}, -np.mean([_log_softmax(row)[token] for _, token, row in _tokens(ZI)])),
    "npo": ((P.nll, P0.nll), {}, (-2 / 0.1 * _log_sigmoid(0.1 * (_nll(Z) - _nll(Z0)))).mean()),
    "simnpo": (
        (P.nll, P.lengths),
        {"delta": 0.5},
        (-2 / 4.5 * _log_sigmoid(4.5 * (_nll(Z) / LENGTHS - 0.5))).mean(),
    ),
    "dpo": ((P.nll, P0.nll, PI.nll, PI0.nll), {}, PO.mean()),
    "relearn_dpo": ((P.nll, P0.nll, PI.nll, PI0.nll), {}, PO.mean()),
    "undial": ((P.logits, P.labels, P0.logits), {}, _mean_over_tokens(_undial)),
    "wga": ((P.log_probs,), {"beta": 2.0}, (P_T**2 * np.log(P_T)).mean()),
    "satimp": ((P.log_probs,), {}, (P_T**5 * (1 - P_T) * np.log(P_T)).mean()),
    "ceu": ((P.logits, P.labels, P.places), {"ignore_first": 0}, _mean_over_tokens(_ceu)),
    "pdu": ((P.logits,), {}, _mean_over_tokens(lambda row, row0, token: (row.max() - row.mean()) ** 2)),
    "klr": ((P.logits, P0.logits), {}, _mean_over_tokens(lambda row, row0, token: _kl(row, row0))),
    "klr_released": (
        (P.all_logits, P0.all_logits),
        {},
        np.mean([_kl(Z0[b, t], Z[b, t]) for b, t in POSITIONS]),
    ),
    "whp": (
        (P.logits, P0.logits, PR.logits),
        {"alpha": 2.0},
        np.mean(
            [
                -(_softmax(b - 2.0 * np.maximum(r - b, 0)) * _log_softmax(z)).sum()
                for (_, _, z), (_, _, b), (_, _, r) in zip(_tokens(Z), _tokens(Z0), _tokens(ZR), strict=True)
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_loss_equals_numpy(name: str) -> None:
    inputs, options, expected = CASES[name]
    value = LOSSES.get(name).compute(*inputs, **options)
    assert value.ndim == 1
    assert float(value.mean()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_is_checked(name: str) -> None:
    """Against numpy here, or by a value worked out by hand in its docstring, which is run as a test."""
    assert name in CASES or ">>>" in LOSSES.get(name).compute.__doc__


def test_rmu_equals_numpy() -> None:
    rng = np.random.default_rng(9)
    hidden, before, direction = rng.normal(size=(5, 8)), rng.normal(size=(5, 8)), rng.normal(size=8)
    misdirected = LOSSES.get("rmu").compute(torch.tensor(hidden), torch.tensor(direction), coefficient=20.0)
    assert misdirected.tolist() == pytest.approx((((hidden - 20 * direction) ** 2).sum(axis=1) / 8).tolist())
    kept = LOSSES.get("rmu_retain").compute(torch.tensor(hidden), torch.tensor(before))
    assert kept.tolist() == pytest.approx((((hidden - before) ** 2).sum(axis=1) / 8).tolist())


def test_klr_direction() -> None:
    klr = LOSSES.get("klr").compute
    there = _mean_over_tokens(lambda row, row0, token: _kl(row, row0))
    back = _mean_over_tokens(lambda row, row0, token: _kl(row0, row))
    assert there != pytest.approx(back, rel=1e-2)
    assert float(klr(P.logits, P0.logits, expectation="reference").mean()) == pytest.approx(back, rel=1e-9)


def test_weights_of_reweighted_ascent_carry_no_gradient() -> None:
    # d(p^b log p)/d log p with p^b constant is p^b; with the weight's gradient it would be p^b (1 + b log p).
    for name, factor in (("wga", lambda p: p), ("satimp", lambda p: p**5 * (1 - p))):
        log_probs = P.log_probs.detach().clone().requires_grad_(True)
        LOSSES.get(name).compute(log_probs).sum().backward()
        assert log_probs.grad.tolist() == pytest.approx(factor(P_T).tolist())


def test_ceu_target_carries_no_gradient() -> None:
    # With a constant target q, the gradient of CE(q, softmax(z)) in z is softmax(z) - q.
    logits = P.logits.clone().requires_grad_(True)
    LOSSES.get("ceu").compute(logits, P.labels, P.places, ignore_first=0).sum().backward()
    _, token, row = _tokens(Z)[0]
    target = _softmax(np.where(np.arange(VOCABULARY) == token, -np.inf, row))
    assert logits.grad[0].tolist() == pytest.approx((_softmax(row) - target).tolist())


def test_ceu_leaves_the_first_token_of_each_answer_out() -> None:
    values = LOSSES.get("ceu").compute(P.logits, P.labels, P.places)
    assert P.places.tolist() == [0, 1, 2, 0, 1]
    expected = [_ceu(row, None, token) for _, token, row in _tokens(Z)]
    expected[0] = expected[3] = 0.0
    assert values.tolist() == pytest.approx(expected)


def test_npo_tends_to_gradient_ascent() -> None:
    # For small beta the gradient of NPO in the NLL goes to -1, that of ascent (arXiv 2404.05868, proposition 1).
    nll = torch.tensor([5.0], dtype=torch.float64, requires_grad=True)
    LOSSES.get("npo").compute(nll, torch.tensor([3.0], dtype=torch.float64), beta=1e-6).backward()
    assert float(nll.grad) == pytest.approx(-1.0, abs=1e-5)


def test_empty_batch_has_no_nan() -> None:
    empty = Answers(
        labels=torch.zeros(0, dtype=torch.long),
        sequence=torch.zeros(0, dtype=torch.long),
        n_sequences=0,
        logits=torch.zeros(0, VOCABULARY, requires_grad=True),
    )
    ceu = LOSSES.get("ceu").compute(empty.logits, empty.labels, empty.places)
    for value in (ceu, LOSSES.get("ga").compute(empty.log_probs)):
        assert value.sum().item() == 0.0
        value.sum().backward()


def test_simnpo_and_npo_survive_large_margins() -> None:
    for name, other in (("npo", torch.zeros(2)), ("simnpo", torch.ones(2))):
        nll = torch.tensor([1e6, -1e6], requires_grad=True)
        values = LOSSES.get(name).compute(nll, other)
        values.sum().backward()
        assert torch.isfinite(values).all()
        assert torch.isfinite(nll.grad).all()


def test_answer_positions_shift_by_one_and_skip_the_first() -> None:
    labels = torch.tensor([[4, -100, 5, 6, -100], [-100, -100, -100, -100, -100]])
    assert answer_positions(labels).tolist() == [[False, True, True, False, False], [False] * 5]


def test_sequence_sums_do_not_depend_on_order() -> None:
    assert P.nll.tolist() == pytest.approx(_nll(Z).tolist())
    assert P.lengths.tolist() == LENGTHS.tolist()


def test_dual_variable_rises_above_the_bound_and_never_falls_below_zero() -> None:
    assert dual_step(1.0, 0.8, epsilon=0.3, eta=0.5) == pytest.approx(1.25)
    assert dual_step(0.2, 0.0, epsilon=0.3, eta=1.0) == 0.0


def test_options_come_from_the_signature_and_settings() -> None:
    assert LOSSES.get("npo").inputs == ("nll", "reference_nll")
    assert LOSSES.get("npo").options == {"beta": 0.1}
    assert LOSSES.get("rmu").options == {"coefficient": 2.0, "layer": 7}
