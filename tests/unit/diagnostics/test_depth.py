import numpy as np
import pytest
import torch

from tests.unit.diagnostics import slow_reference as slow
from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, depth
from unlearn_bench.diagnostics._prompts import batches, encode_all
from unlearn_bench.errors import UserError


def _three(architecture):
    options = {"use_parallel_residual": False} if architecture == "gpt_neox_sequential" else {}
    name = architecture.removesuffix("_sequential")
    return [build(name, seed=seed, **options) for seed in range(3)]


@torch.no_grad()
def test_patching_equals_models_with_overwritten_blocks(architecture, tokenizer, rows):
    original, judged, retain = _three(architecture)
    # two places in a row, so that the span has two tokens
    longer = [row.model_copy(update={"answer": f"{row.answer[:-1]} Varga."}) for row in rows[1:3]]
    prompts, _ = encode_all(longer, tokenizer)
    assert all(p.entity[1] - p.entity[0] == 2 for p in prompts)
    batch = batches(prompts, tokenizer, torch.device("cpu"), 8)[0]
    d1, d2 = depth.measure(*(map(_hooks.find_decoder, (original, judged, retain))), batch)
    for row, prompt in enumerate(batch.prompts):
        span = range(*prompt.entity)
        before = slow.log_probability(original, prompt.ids, span)
        for lost, source in ((d1, retain), (d2, judged)):
            for level, output in enumerate(slow.block_outputs(source, prompt.ids)):
                after = slow.patched_log_probability(original, output, prompt.ids, span, level)
                assert lost[row, level] == pytest.approx(before - after, abs=2e-5)


def test_exactly_zero_for_the_original_and_one_for_the_retain_model(architecture, tokenizer, rows):
    original, _, retain = map(_hooks.find_decoder, _three(architecture))
    prompts, _ = encode_all(rows, tokenizer)
    batch = batches(prompts, tokenizer, torch.device("cpu"), 8)[0]
    same = depth.unlearning_depth(*depth.measure(original, original, retain, batch))
    gone = depth.unlearning_depth(*depth.measure(original, retain, retain, batch))
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
