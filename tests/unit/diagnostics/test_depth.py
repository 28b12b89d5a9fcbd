import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.unit.diagnostics import slow_reference as slow
from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, depth
from unlearn_bench.diagnostics._prompts import batches, encode_all
from unlearn_bench.errors import UserError

pytestmark = pytest.mark.slow


def _three(architecture):
    options = {"use_parallel_residual": False} if architecture == "gpt_neox_sequential" else {}
    name = architecture.removesuffix("_sequential")
    return [build(name, seed=seed, **options) for seed in range(3)]


def _score(losses):
    return depth.unlearning_depth(losses.d1, losses.d2)


@torch.no_grad()
def test_patching_equals_models_with_overwritten_blocks(architecture, tokenizer, rows):
    original, judged, retain = _three(architecture)
    # two places in a row, so that the span has two tokens
    longer = [row.model_copy(update={"answer": f"{row.answer[:-1]} Varga."}) for row in rows[1:3]]
    prompts, _ = encode_all(longer, tokenizer)
    assert all(p.entity[1] - p.entity[0] == 2 for p in prompts)
    batch = batches(prompts, tokenizer, torch.device("cpu"), 8)[0]
    losses = depth.measure(*(map(_hooks.find_decoder, (original, judged, retain))), batch)
    for row, prompt in enumerate(batch.prompts):
        span = range(*prompt.entity)
        before = slow.log_probability(original, prompt.ids, span)
        for lost, source in ((losses.d1, retain), (losses.d2, judged)):
            for level, output in enumerate(slow.block_outputs(source, prompt.ids)):
                after = slow.patched_log_probability(original, output, prompt.ids, span, level)
                assert lost[row, level] == pytest.approx(before - after, abs=2e-5)


def test_exactly_zero_for_the_original_and_one_for_the_retain_model(architecture, tokenizer, rows):
    original, _, retain = map(_hooks.find_decoder, _three(architecture))
    prompts, _ = encode_all(rows, tokenizer)
    batch = batches(prompts, tokenizer, torch.device("cpu"), 8)[0]
    same = _score(depth.measure(original, original, retain, batch))
    gone = _score(depth.measure(original, retain, retain, batch))
    scored = ~np.isnan(same)
    assert scored.any()
    assert (same[scored] == 0).all()
    assert (gone[scored] == 1).all()
    assert (np.isnan(gone) == np.isnan(same)).all()


@pytest.mark.parametrize(
    ("d1", "d2", "expected"),
    [
        ([1.0, 3.0], [0.5, 3.0], 0.875),  # (1 * 0.5 + 3 * 1) / 4
        ([1.0, 3.0], [-2.0, 9.0], 0.75),  # both clipped: (1 * 0 + 3 * 1) / 4
        ([0.04, 2.0], [0.04, 0.0], 0.0),  # the first is below the threshold
        ([0.05, 1.0], [0.05, 0.0], 0.0),  # the threshold itself does not pass
        ([0.04, -1.0], [1.0, 1.0], np.nan),
        ([1.0, 3.0], [1e-6, -1e-6], 0.0),  # the same computation twice
        ([1.0, 3.0], [1.0 - 1e-6, 3.0 + 1e-6], 1.0),
        ([1.0, 3.0], [1e-4, 0.0], 2.5e-5),  # but a small loss is a loss: 1e-4 / 4
    ],
)
def test_unlearning_depth(d1, d2, expected):
    assert depth.unlearning_depth(np.array(d1), np.array(d2)) == pytest.approx(expected, nan_ok=True)


def test_threshold_is_an_argument():
    assert depth.unlearning_depth(np.array([0.04, 2.0]), np.array([0.04, 0.0]), threshold=0) == pytest.approx(
        0.04 / 2.04
    )


def test_other_shapes_are_refused():
    original, deeper = _hooks.find_decoder(build("llama")), _hooks.find_decoder(build("llama", num_hidden_layers=4))
    with pytest.raises(UserError, match="4 blocks, width 32"):
        depth.check_same_shape(original, deeper, "--retain-model")


def _turned(seed=0):
    """The same function as `build("llama")`, its residual stream in another basis: features in reverse order."""
    model = build("llama", seed=seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")) or parameter.ndim == 1:
                parameter.copy_(parameter.flip(0))
            else:
                parameter.copy_(parameter.flip(1))
    return model


@torch.no_grad()
def test_the_control_is_the_loss_at_tokens_that_both_models_know(tokenizer, rows, monkeypatch):
    monkeypatch.setattr(depth, "KNOWN", -100.0)  # a random model says nothing of the answer by itself
    original, turned = build("llama"), _turned()
    batch = batches(encode_all(rows[:2], tokenizer)[0], tokenizer, torch.device("cpu"), 8)[0]
    torch.testing.assert_close(turned(batch.ids).logits, original(batch.ids).logits, atol=1e-5, rtol=0)
    losses = depth.measure(*map(_hooks.find_decoder, (original, original, turned)), batch)
    for row, prompt in enumerate(batch.prompts):
        others = [i for i in range(prompt.start, len(prompt.ids)) if i not in range(*prompt.entity)]
        before = slow.log_probability(original, prompt.ids, others)
        for level, output in enumerate(slow.block_outputs(turned, prompt.ids)):
            after = slow.patched_log_probability(original, output, prompt.ids, others, level)
            assert losses.control[row, level] == pytest.approx(before - after, abs=2e-5)
    assert (np.abs(losses.control) > 0.01).all()
    assert (losses.d2 == 0).all()


def test_a_token_is_known_where_the_original_says_it_and_the_retain_model_no_worse(tokenizer, rows, monkeypatch):
    batch = batches(encode_all(rows[:1], tokenizer)[0], tokenizer, torch.device("cpu"), 1)[0]
    # Ada Quill was born in (Norvik) . : in nats, of the original and of the retain model
    given = {"own": [-0.1, -0.1, -0.69, -0.70, -0.1, -0.1], "never": [-0.14, -0.16, -0.69, -0.70, -3.0, 0.0]}
    run = {name: depth._Run([torch.tensor(values)]) for name, values in given.items()}
    monkeypatch.setattr(depth, "_gold_log_probability", lambda decoder, states, where, gold: states)
    known = depth._known_to_both(None, None, run["own"], run["never"], batch)
    assert [batch.prompts[0].pieces[i] for i in known[0]] == ["Ada", "was", "."]


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ([0.01, 0.02], None),
        ([0.04, 0.05], None),  # below what counts as knowledge
        ([0.30, 0.10], "uds cannot be read: never and before seem not to share a basis"),  # 0.20 of 2: a tenth
        ([0.09, 0.09], None),  # 0.09 of 2 is 4.5 %
        ([np.nan, np.nan], "could not be checked"),
    ],
)
def test_models_that_share_no_basis_are_said(control, words):
    losses = depth.Losses(np.array([[2.0, 2.0]]), np.array([[1.0, 1.0]]), np.array([control]))
    found = depth.warning(losses, "before", "never")
    assert found is None if words is None else words in found


@torch.no_grad()
def test_blocks_that_take_no_cache_by_name_get_every_token(tokenizer, rows):
    shape = {"vocab_size": 42, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
    config = AutoConfig.for_model("gpt2", **shape, bos_token_id=1, eos_token_id=2, initializer_range=0.3)
    original, retain = (AutoModelForCausalLM.from_config(config).eval() for _ in range(2))
    batch = batches(encode_all(rows[:1], tokenizer)[0], tokenizer, torch.device("cpu"), 1)[0]
    losses = depth.measure(*map(_hooks.find_decoder, (original, original, retain)), batch)
    ids, span = batch.prompts[0].ids, batch.prompts[0].entity
    for level, (ours, theirs) in enumerate(zip(original.transformer.h, retain.transformer.h, strict=True)):
        given = []
        handle = theirs.register_forward_hook(lambda _, args, out, g=given: g.append(_hooks.tensor(out)))
        retain(batch.ids)
        handle.remove()

        def patch(_, args, out, g=given):
            _hooks.tensor(out)[0, span[0] - 1 : span[1] - 1] = g[0][0, span[0] - 1 : span[1] - 1]
            return out

        before = slow.log_probability(original, ids, range(*span))
        handle = ours.register_forward_hook(patch)
        after = slow.log_probability(original, ids, range(*span))
        handle.remove()
        assert losses.d1[0, level] == pytest.approx(before - after, abs=2e-5)


def test_half_precision_keeps_zero_and_one_exact(tokenizer, rows):
    original, retain = (_hooks.find_decoder(build("llama", seed=seed).to(torch.bfloat16)) for seed in (0, 2))
    batch = batches(encode_all(rows, tokenizer)[0], tokenizer, torch.device("cpu"), 8)[0]
    same, gone = (_score(depth.measure(original, judged, retain, batch)) for judged in (original, retain))
    assert np.nanmax(same) == 0
    assert np.nanmin(gone) == 1
