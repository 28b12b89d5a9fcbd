"""Presets against the code and papers that they name, and the schedule that they set."""

import math

import pytest

from tests.tiny_training import trajectory
from unlearn_bench.errors import UserError
from unlearn_bench.trainers.config import build, preset_settings, presets
from unlearn_bench.trainers.method import parse

PUBLIC = ["ga", "npo+gdr", "dpo+klr", "simnpo+gdr", "relearn", "retrain", "merge", "undial+gdr"]


def _built(method: str, preset: str, **given: object):
    return build({"model": "m", "output": "o", "method": method, "preset": preset, **given})


@pytest.mark.parametrize("preset", ["tofu", "knowundo"])
@pytest.mark.parametrize("method", PUBLIC)
def test_public_code_warms_up_for_an_epoch_and_decays_weights(preset: str, method: str) -> None:
    config = _built(method, preset)
    assert (config.warmup_epochs, config.warmup, config.weight_decay) == (1, 0.0, 0.01)


@pytest.mark.parametrize("preset", ["tofu", "knowundo"])
def test_sure_keeps_its_rows_from_weight_decay(preset: str) -> None:
    assert _built("sure+npo+gdr", preset).weight_decay == 0


def test_pdu_and_merge_have_their_authors_settings() -> None:
    config = _built("pdu", "tofu")
    assert (config.lora, config.epochs, config.batch_size * config.accumulate, config.learning_rate) == (
        None,
        10,
        32,
        1e-5,
    )
    pdu, gdr = parse("pdu", config.options).terms
    assert {name: pdu.options[name] for name in ("epsilon", "eta", "warmup_epochs")} == {
        "epsilon": 0.3,
        "eta": 5.0,
        "warmup_epochs": 5.0,
    }
    assert gdr.weight == 100.0
    for preset in ("tofu", "knowundo"):
        merge = _built("merge", preset)
        assert (merge.lora.r, merge.epochs, merge.batch_size, merge.accumulate) == (32, 5, 1, 4)


def test_the_nano_table_keeps_the_settings_that_it_was_made_with() -> None:
    """Its models were trained before some defaults became those of the authors."""
    assert parse("ceu+gdr", preset_settings("nano", "ceu+gdr")["options"]).ignore_first == 0
    pdu, gdr = parse("pdu", preset_settings("nano", "pdu")["options"]).terms
    assert (pdu.options["epsilon"], pdu.options["eta"], pdu.options["warmup_epochs"], gdr.weight) == (
        0.0,
        1.0,
        0.0,
        1.0,
    )
    satimp = parse("satimp+gdr", preset_settings("nano", "satimp+gdr")["options"])
    assert [term.weight for term in satimp.terms] == [1.0, 1.0]
    for method in ("*", "relearn", "merge", "pdu"):
        config = _built(method.replace("*", "ga+gdr"), "nano")
        assert (config.weight_decay, config.warmup_epochs) == (0.0, 0.0)


def test_every_preset_names_its_source() -> None:
    for name, entries in presets().items():
        for method, settings in entries.items():
            assert settings["source"], (name, method)


def test_what_is_given_replaces_the_presets_warm_up_in_either_unit() -> None:
    assert (_built("ga", "tofu", warmup=0.1).warmup, _built("ga", "tofu", warmup=0.1).warmup_epochs) == (0.1, 0.0)
    assert _built("ga", "tofu", warmup=0.0).warmup_epochs == 0.0
    assert (_built("relearn", "nano").warmup, _built("relearn", "nano", warmup_epochs=1).warmup) == (0.05, 0.0)
    with pytest.raises(UserError, match="exclude each other"):
        _built("ga", "tofu", warmup=0.1, warmup_epochs=1)


def test_no_adapter_can_be_asked_for_against_the_preset() -> None:
    assert _built("ga", "tofu").lora is not None
    assert _built("ga", "tofu", lora=None).lora is None


def test_the_learning_rate_rises_over_the_first_epoch_and_falls_to_the_end(run) -> None:
    """7 rows, 2 a step: 4 steps an epoch, of which TOFU's code counts the 3 whole ones."""
    outcome = run("ga", batch_size=2, epochs=3, warmup_epochs=1.0, learning_rate=1e-3)
    rates = [step["learning_rate"] for step in trajectory(outcome.folder)]
    assert len(rates) == 12
    rising, total = 3, 12
    expected = [i / rising if i < rising else (total - i) / (total - rising) for i in range(total)]
    assert rates == pytest.approx([1e-3 * share for share in expected])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"method": "ga", "warmup_epochs": 2.0, "max_steps": 2},
            "the learning rate rises for 3 steps, past --max-steps",
        ),
        ({"method": "pdu"}, "the dual variable rests for 5 epochs, which is the whole training"),
        ({"method": "pdu", "options": {"pdu": {"warmup_epochs": 1.0}}}, None),
    ],
)
def test_a_warm_up_that_covers_everything_is_pointed_out(run, caplog, settings: dict, words: str | None) -> None:
    run(**settings)
    said = [text for text in caplog.messages if "rests for" in text or "rises for" in text]
    assert (words in said[0]) if words else not said


def test_default_ceu_is_the_mean_over_all_tokens_but_the_first(run, checkpoint, files) -> None:
    """The first step's value against plain logits, one row at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from unlearn_bench.trainers import _rows
    from unlearn_bench.trainers._data import Encoder

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    encoder = Encoder(AutoTokenizer.from_pretrained(checkpoint))
    total, count = 0.0, 0
    for row in _rows.load_rows([files["forget"]]):
        encoded = encoder(row, row.answer)
        with torch.no_grad():
            logits = model(torch.tensor([encoded.input_ids])).logits[0].double()
        for place in range(encoded.answer_start + 1, len(encoded.input_ids)):  # the answer's first token is left out
            z, token = logits[place - 1], encoded.input_ids[place]
            others = torch.cat([z[:token], z[token + 1 :]])
            total -= float((others.softmax(0) * (others - z.logsumexp(0))).sum())
            count += 1
    for size, parts in ((8, 1), (2, 4)):
        outcome = run("ceu", f"out{size}", batch_size=size, accumulate=parts, max_steps=1)
        assert outcome.terms["forget/ceu"] == pytest.approx(total / count, rel=1e-5)
    assert math.isfinite(total)
