"""The trainer against a plain training loop written here, and what must not change the result."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny_training import trajectory, weights
from unlearn_bench.errors import UserError
from unlearn_bench.trainers import _data, _rows
from unlearn_bench.trainers._batches import PairedDataset, StepSampler
from unlearn_bench.trainers.divergence import Diverged

pytestmark = pytest.mark.slow

STEPS, RATE, BATCH = 4, 1e-3, 4


def plain_training(checkpoint: Path, files: dict[str, str], method: str) -> tuple[list[float], dict[str, torch.Tensor]]:
    """A second model as reference, everything padded to 32, full logits, one forward pass for each set, our order."""
    model, reference = (AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32) for _ in range(2))
    encoder = _data.Encoder(AutoTokenizer.from_pretrained(checkpoint))
    data = {side: [encoder(row, row.answer) for row in _rows.load_rows([files[side]])] for side in ("forget", "retain")}
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    losses = []
    for epoch in range(2):
        sampler = StepSampler(PairedDataset(data), rows_per_step=BATCH, seed=0)
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        for begin in range(0, len(pairs), BATCH):
            step = [pair for pair in pairs[begin : begin + BATCH] if pair[0] >= 0]
            f = _padded([data["forget"][i] for i, _ in step])
            r = _padded([data["retain"][i] for _, i in step])
            loss = _loss(method, model, reference, f, r)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return losses, model.state_dict()


def _padded(rows) -> dict[str, torch.Tensor]:
    ids, labels, mask = (torch.full((len(rows), 32), fill) for fill in (0, -100, 0))
    for i, row in enumerate(rows):
        n = len(row.input_ids)
        ids[i, :n], mask[i, :n] = torch.tensor(row.input_ids), 1
        labels[i, row.answer_start : n] = torch.tensor(row.input_ids[row.answer_start :])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _loss(method, model, reference, f, r) -> torch.Tensor:
    def logits(m, batch):
        return m(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]

    def token_nll(m, batch):
        z, y = logits(m, batch), batch["labels"][:, 1:]
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none", ignore_index=-100).view(y.shape)

    def ce(batch):
        return token_nll(model, batch).sum() / (batch["labels"][:, 1:] != -100).sum()

    if method == "relearn":
        with torch.no_grad():
            before = logits(reference, r).log_softmax(-1)
        now = logits(model, r).log_softmax(-1)
        mask = r["labels"][:, 1:] != -100
        kl = ((now.exp() * (now - before)).sum(-1) * mask).sum() / mask.sum()
        return ce(f) + ce(r) + kl
    assert method == "npo+gdr"
    with torch.no_grad():
        before = token_nll(reference, f).sum(-1)
    npo = -(2 / 0.1) * F.logsigmoid(0.1 * (token_nll(model, f).sum(-1) - before)).mean()
    return npo + ce(r)


@pytest.mark.parametrize(("method", "reference"), [("relearn", "stored"), ("relearn", "copy"), ("npo+gdr", "stored")])
def test_equals_a_plain_loop(run, checkpoint, files, method, reference) -> None:
    losses, state = plain_training(checkpoint, files, method)
    outcome = run(method, reference_from=reference)
    assert [step["loss"] for step in trajectory(outcome.folder)] == pytest.approx(losses, abs=1e-5)
    for name, value in weights(outcome.folder).items():
        torch.testing.assert_close(value, state[name], atol=2e-5, rtol=1e-4)


RMU = {"rmu": {"layer": 1}, "rmu_retain": {"layer": 1}}
# klr_released averages over padding, whose extent is a property of the micro-batch: there accumulation does matter.
ACCUMULATED = [
    *("ga", "simnpo", "dpo", "idk_nll", "rmu", "undial", "wga", "satimp", "ceu", "pdu", "relearn", "relearn_dpo"),
    *("npo+gdr+klr", "sure+npo+gdr", "memflex+npo+gdr"),
]


@pytest.mark.parametrize("method", ACCUMULATED)
def test_accumulation_changes_nothing(run, method) -> None:
    options = RMU if method == "rmu" else {"sure": {"percentile": 80.0}} if "sure" in method else {}
    whole = run(method, "whole", batch_size=4, accumulate=1, options=options)
    parts = run(method, "parts", batch_size=1, accumulate=4, options=options)
    for a, b in zip(trajectory(whole.folder), trajectory(parts.folder), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=5e-5)
    # AdamW turns rounding of a gradient near zero into a full step, so that single entries may differ.
    for name, value in weights(whole.folder).items():
        assert (value - weights(parts.folder)[name]).abs().mean() < 1e-5, name


@pytest.mark.parametrize(("method", "lora"), [("relearn", "dropout=0.3,r=2"), ("pdu", None), ("sure+npo+gdr", None)])
def test_resumed_equals_uninterrupted(run, tmp_path, method, lora) -> None:
    from unlearn_bench.trainers.config import Lora

    settings = {"lora": Lora.read(lora) if lora else None, "batch_size": 2, "save_every": 3}
    whole = run(method, "whole", **settings)

    def stop(model, tokenizer, step):
        if step == 5:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(method, "cut", evaluate=stop, eval_every=5, **settings)
    assert sorted(p.name for p in (tmp_path / "cut").glob("checkpoint-*")) == ["checkpoint-3"]
    (tmp_path / "cut" / "checkpoint-5").mkdir()  # of a run that was killed while it saved
    (tmp_path / "cut" / "checkpoint-5" / "trainer_state.json").write_text("{}")
    # The interruption itself was made with the curve, which a resumed run must keep.
    resumed = run(method, "cut", evaluate=lambda *_: {}, eval_every=5, resume=True, **settings)
    assert resumed.steps == whole.steps == 8
    assert [s["loss"] for s in trajectory(resumed.folder)] == [s["loss"] for s in trajectory(whole.folder)]
    for name, value in weights(whole.folder).items():
        assert torch.equal(value, weights(resumed.folder)[name]), name


def test_adapter_switched_off_is_the_base_model(run) -> None:
    from unlearn_bench.trainers.config import Lora

    lora = Lora(r=2, alpha=4, dropout=0.0)
    paths = {
        kind: run("npo+klr", kind, lora=lora, reference_from=kind).folder for kind in ("adapter", "stored", "copy")
    }
    first = [step["loss"] for step in trajectory(paths["adapter"])]
    for kind in ("stored", "copy"):
        assert [step["loss"] for step in trajectory(paths[kind])] == pytest.approx(first, abs=1e-5)
    # At the start the model is its own reference: NPO is 20 log 2 and the divergence 0.
    start = trajectory(paths["adapter"])[0]
    assert start["forget/npo"] == pytest.approx(13.8629, abs=1e-3)
    assert start["retain/klr"] == pytest.approx(0.0, abs=1e-6)


def test_dual_variable_follows_the_whole_step(run) -> None:
    options = {"pdu": {"epsilon": 3.0, "eta": 0.5, "warmup_epochs": 1.0, "retain_weight": 2.0}}
    outcome = run("pdu", batch_size=2, accumulate=2, epochs=3, options=options)
    steps = trajectory(outcome.folder)
    assert len(steps) == 6  # two an epoch
    dual = 2.0
    for number, step in enumerate(steps):
        assert step["dual"] == pytest.approx(dual)
        assert step["loss"] == pytest.approx(step["forget/pdu"] + dual * step["retain/gdr"], rel=1e-5)
        if number >= 2:  # the dual variable rests for the first epoch
            dual = max(0.0, dual + 0.5 * (step["retain/gdr"] - 3.0))
    assert [step["dual"] for step in steps[:3]] == [2.0] * 3
    assert steps[-1]["dual"] > 2.5


def test_pdu_dual_variable_of_the_defaults_falls_below_the_allowed_loss() -> None:
    """0.3 is allowed: a retain loss of 0.1 lowers lambda, where the constraint CE <= 0 would only ever raise it."""
    from unlearn_bench.losses import LOSSES
    from unlearn_bench.losses.pdu import dual_step

    defaults = LOSSES.get("pdu").options
    assert (defaults["epsilon"], defaults["eta"], defaults["warmup_epochs"]) == (0.3, 1.0, 5.0)
    assert dual_step(1.0, 0.1, epsilon=defaults["epsilon"], eta=defaults["eta"]) == pytest.approx(0.8)
    assert dual_step(1.0, 0.1, epsilon=0.0, eta=1.0) > 1.0


def test_satimp_weighs_its_retain_term_as_its_authors_do() -> None:
    from unlearn_bench.trainers.method import parse

    weights = {term.name: term.weight for term in parse("satimp+gdr").terms}
    assert weights == {"satimp": 1.0, "gdr": 0.1}
    assert [t.weight for t in parse("satimp+1*gdr").terms] == [1.0, 1.0]
    assert [t.weight for t in parse("satimp+gdr", {"satimp": {"retain_weight": 1}}).terms] == [1.0, 1.0]
    assert [t.weight for t in parse("npo+gdr").terms] == [1.0, 1.0]


def test_nan_stops_before_the_weights_and_says_what_is_kept(run, tmp_path) -> None:
    with pytest.raises(Diverged, match=r"step \d+: ga = .*") as error:
        run("ga", learning_rate=10.0, epochs=40, max_loss=50.0)
    assert "checkpoint" in error.value.hint
    kept = sorted((tmp_path / "out").glob("checkpoint-*"))
    for path in kept:
        assert all(torch.isfinite(value).all() for value in weights(path).values())


def test_told_to_go_on_it_ends_with_finite_weights(run) -> None:
    outcome = run("ga", learning_rate=1e30, epochs=4, on_divergence="continue", max_grad_norm=0.0)
    assert outcome.skipped > 0
    assert all(torch.isfinite(value).all() for value in weights(outcome.folder).values())
    record = json.loads((outcome.folder / "training.json").read_text(encoding="utf-8"))
    assert record["divergence"]["skipped"] == outcome.skipped
    assert record["divergence"]["first_step"] == 2


def test_curve_is_written_and_does_not_disturb_training(run, tmp_path) -> None:
    from unlearn_bench.trainers.config import Lora

    settings = {"lora": Lora(r=2, alpha=4, dropout=0.3), "batch_size": 2}
    seen = []

    def evaluate(model, tokenizer, step):
        assert not model.training
        assert tokenizer.eos_token == "</s>"
        seen.append(step)
        torch.rand(7)  # uses up randomness that dropout must not miss
        return {"krr": step / 10}

    with_curve = run("relearn", "curve", evaluate=evaluate, eval_every=3, **settings)
    without = run("relearn", "none", **settings)
    lines = [json.loads(line) for line in (with_curve.folder / "curve.jsonl").read_text().splitlines()]
    assert seen == [0, 3, 6, 8]
    assert [line["krr"] for line in lines] == [0.0, 0.3, 0.6, 0.8]
    assert [s["loss"] for s in trajectory(with_curve.folder)] == [s["loss"] for s in trajectory(without.folder)]


def test_a_term_of_weight_zero_is_not_paid_for(run, files, monkeypatch) -> None:
    outcome = run("ga+0*gdr+0*klr")
    assert set(trajectory(outcome.folder)[0]) >= {"forget/ga"}
    assert not any("retain" in key for key in trajectory(outcome.folder)[0])


def test_missing_set_is_a_user_error(run) -> None:
    with pytest.raises(UserError, match="needs --retain"):
        run("npo+gdr", retain=())


@pytest.mark.parametrize("method", ["relearn", "memflex+ga+gdr"])
@pytest.mark.parametrize("adapter", [False, True])
def test_gradient_checkpointing_changes_nothing(run, method, adapter) -> None:
    from unlearn_bench.trainers.config import Lora

    lora = Lora(r=2, alpha=4, dropout=0.0) if adapter else None
    plain = run(method, "plain", lora=lora, epochs=1)
    saved = run(method, "saved", lora=lora, epochs=1, gradient_checkpointing=True)
    for a, b in zip(trajectory(plain.folder), trajectory(saved.folder), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-5)


def test_mixed_precision_stays_close(run) -> None:
    full = trajectory(run("relearn", "fp32", dtype="float32").folder)
    mixed = trajectory(run("relearn", "bf16", dtype="bfloat16").folder)
    # bfloat16 has 8 bits of mantissa: about three decimal digits of the logits.
    assert [s["loss"] for s in mixed] == pytest.approx([s["loss"] for s in full], rel=2e-2)
    assert [s["loss"] for s in mixed] != [s["loss"] for s in full]
