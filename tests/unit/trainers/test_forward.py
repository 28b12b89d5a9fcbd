"""Logits at answer positions only, for every architecture, and the stored reference."""

import pytest
import torch

from tests.tiny import ARCHITECTURES, tiny_model
from unlearn_bench.errors import UserError
from unlearn_bench.trainers._batches import Collator, PairedDataset
from unlearn_bench.trainers._data import Encoded
from unlearn_bench.trainers._forward import Wanted, answers_of
from unlearn_bench.trainers._reference import Stored, build_store, load_store, save_store

ROWS = [Encoded([5, 6, 7, 8, 9], 2), Encoded([5, 6, 10], 1), Encoded([11, 12, 13, 14, 15, 16, 17], 4)]
DATA = PairedDataset({"forget": ROWS, "retain": ROWS[::-1]})
BOTH = frozenset({"forget", "retain"})


def _batch() -> dict[str, torch.Tensor]:
    return Collator(0)([DATA[(0, 0)], DATA[(1, 1)], DATA[(2, 2)]])


def _full_logits(model, rows: list[Encoded]) -> list[torch.Tensor]:
    """Row by row, without padding: the logits before each answer token."""
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([row.input_ids])).logits[0].float() for row in rows]
    return [z[row.answer_start - 1 : -1] for z, row in zip(logits, rows, strict=True)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_logits_equal_full_logits(architecture: str) -> None:
    model = tiny_model(architecture).eval()
    with torch.no_grad():
        found = answers_of(model, model.get_output_embeddings(), _batch(), Wanted(logits=BOTH))
    for name, rows in (("forget", ROWS), ("retain", ROWS[::-1])):
        torch.testing.assert_close(found[name].logits, torch.cat(_full_logits(model, rows)), atol=1e-4, rtol=1e-4)
        assert found[name].labels.tolist() == [t for row in rows for t in row.input_ids[row.answer_start :]]
        assert found[name].sequence.tolist() == [i for i, r in enumerate(rows) for _ in r.input_ids[r.answer_start :]]


def test_gradients_equal_those_of_full_logits() -> None:
    model = tiny_model("llama")
    answers_of(model, model.lm_head, _batch(), Wanted(logits=BOTH))["forget"].nll.sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for row in ROWS:
        ids = torch.tensor([row.input_ids])
        labels = torch.tensor([row.labels])
        loss = model(input_ids=ids, labels=labels).loss * (len(row.input_ids) - row.answer_start)
        loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("checkpointed", [False, True], ids=["", "checkpointed"])
def test_the_last_layers_states_are_its_own_and_not_behind_the_final_norm(
    architecture: str, checkpointed: bool
) -> None:
    """Value and gradient of the RMU loss at the last layer, against a hook and one row at a time."""
    from unlearn_bench.losses.rmu import rmu

    model = tiny_model(architecture).train()
    direction = torch.nn.functional.normalize(torch.rand(32, generator=torch.Generator().manual_seed(1)), dim=0)
    inner = model.gpt_neox if architecture == "gpt_neox" else model.model
    seen = []
    handle = inner.layers[-1].register_forward_hook(
        lambda module, args, out: seen.append(out if isinstance(out, torch.Tensor) else out[0])
    )
    for row in ROWS:
        model(input_ids=torch.tensor([row.input_ids]))
    handle.remove()
    states = torch.cat([state[0, row.answer_start :] for state, row in zip(seen, ROWS, strict=True)])
    expected = rmu(states, direction, coefficient=5.0).sum()
    expected.backward()
    theirs = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    wanted = Wanted(hidden=frozenset({"forget"}), layer=1)
    found = answers_of(model, model.get_output_embeddings(), _batch(), wanted)["forget"]
    value = rmu(found.hidden, direction, coefficient=5.0).sum()
    value.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert len(inner.layers[-1]._forward_hooks) == 0
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and name in theirs:
            torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-3, rtol=1e-3)


def test_hidden_states_are_those_of_the_answer_tokens() -> None:
    model = tiny_model("llama").eval()
    wanted = Wanted(hidden=frozenset({"forget"}), layer=0)
    seen = {}
    model.model.layers[0].register_forward_hook(lambda module, args, out: seen.update(out=out))
    with torch.no_grad():
        found = answers_of(model, model.lm_head, _batch(), wanted)["forget"]
    assert found.logits is None
    out = seen["out"][0] if isinstance(seen["out"], tuple) else seen["out"]
    expected = torch.cat([out[i, row.answer_start : len(row.input_ids)] for i, row in enumerate(ROWS)])
    torch.testing.assert_close(found.hidden, expected)


def test_all_positions_for_the_released_divergence() -> None:
    model = tiny_model("llama").eval()
    wanted = Wanted(logits=BOTH, all_logits=frozenset({"retain"}))
    with torch.no_grad():
        found = answers_of(model, model.lm_head, _batch(), wanted)
        alone = answers_of(model, model.lm_head, _batch(), Wanted(logits=BOTH))
    assert found["retain"].all_logits.shape[0] == 3 * 7  # three rows padded to the longest
    assert found["forget"].all_logits is None
    for name in BOTH:
        torch.testing.assert_close(found[name].logits, alone[name].logits)


def _store(model, whole: bool) -> Stored:
    return build_store(
        model,
        model.get_output_embeddings(),
        DATA,
        Wanted(logits=BOTH),
        collator=Collator(0),
        whole=BOTH if whole else frozenset(),
        batch_size=2,
    )


@pytest.mark.parametrize("whole", [True, False])
def test_stored_reference_equals_a_forward_pass(tmp_path, whole: bool) -> None:
    model = tiny_model("llama").eval()
    with torch.no_grad():
        expected = answers_of(model, model.lm_head, _batch(), Wanted(logits=BOTH))
    store = _store(model, whole)
    save_store(store, tmp_path / "reference.safetensors", "key")
    assert load_store(tmp_path / "reference.safetensors", "another", model.lm_head) is None
    with torch.no_grad():
        model.lm_head.weight.add_(1.0)  # training moves the head; the store must not follow
    for kept in (store, load_store(tmp_path / "reference.safetensors", "key", model.lm_head)):
        found = kept(model, _batch(), Wanted(logits=BOTH))
        for name in BOTH:
            torch.testing.assert_close(found[name].nll, expected[name].nll, atol=1e-4, rtol=1e-5)
            assert torch.equal(found[name].labels, expected[name].labels)
            if whole:
                torch.testing.assert_close(found[name].logits, expected[name].logits, atol=1e-4, rtol=1e-5)
                assert not found[name].logits.requires_grad


def test_log_probabilities_are_all_that_is_kept_where_they_are_enough() -> None:
    model = tiny_model("llama").eval()
    assert _store(model, whole=False).head is None
    assert _store(model, whole=False).nbytes < _store(model, whole=True).nbytes / 4


def test_soft_capped_logits_cannot_be_stored_and_say_so() -> None:
    model = tiny_model("gemma2", final_logit_softcapping=0.5).eval()
    with pytest.raises(UserError, match="after the output head") as error:
        _store(model, whole=True)
    assert "--reference-from copy" in error.value.hint
