"""What a run leaves, what it refuses, and what it keeps to itself."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_training import weights
from unlearn_bench.errors import UserError
from unlearn_bench.models.subject import load_subject
from unlearn_bench.trainers import _disk, _model
from unlearn_bench.trainers.config import Lora, build

pytestmark = pytest.mark.slow


def test_result_is_an_ordinary_checkpoint_with_a_card(run, checkpoint, files) -> None:
    outcome = run("npo+gdr", seed=3)
    names = {p.name for p in outcome.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "training.json"} <= names
    assert not any(name.startswith("checkpoint") or name.endswith(".bin") for name in names)
    model, _ = load_subject(str(outcome.folder))
    assert torch.equal(model.state_dict()["lm_head.weight"], weights(outcome.folder)["lm_head.weight"])
    record = json.loads((outcome.folder / "training.json").read_text(encoding="utf-8"))
    assert record["seed"] == 3
    assert record["steps"] == 4
    assert [(t["name"], t["side"], t["weight"]) for t in record["terms"]] == [
        ("npo", "forget", 1.0),
        ("gdr", "retain", 1.0),
    ]
    assert record["terms"][0]["options"] == {"beta": 0.1}
    assert record["data"]["forget"]["rows"] == 7
    assert len(record["data"]["retain"]["sha256"]) == 64
    assert len(record["model"]["weights_sha256"]) == 64
    assert {"torch", "transformers", "python"} <= set(record["versions"])
    for text in ((outcome.folder / "README.md").read_text(), json.dumps(record)):
        assert str(checkpoint.parent) not in text
        assert "npo+gdr" in text


def test_adapter_loads_with_its_base(run, checkpoint) -> None:
    outcome = run("npo+gdr", lora=Lora(r=2, alpha=4, dropout=0.0), epochs=4, learning_rate=1e-2)
    tuned, _ = load_subject(str(outcome.folder))
    base, _ = load_subject(str(checkpoint))
    ids = torch.tensor([[4, 5, 6, 20]])
    with torch.no_grad():
        assert not torch.allclose(tuned(ids).logits, base(ids).logits)
    config = json.loads((outcome.folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(checkpoint)
    assert set(config["target_modules"]) == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip


def test_adapter_of_an_embedded_model_names_it_without_a_path(run) -> None:
    outcome = run("ga", model="nano-full", max_steps=1, lora=Lora(r=2, alpha=4, dropout=0.0))
    config = json.loads((outcome.folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "nano-full"
    model, _ = load_subject(str(outcome.folder))
    assert model.peft_config["default"].r == 2


def test_same_seed_same_weights_and_another_seed_others(run) -> None:
    lora = Lora(r=2, alpha=4, dropout=0.3)
    first, second, third = (run("relearn", name, lora=lora, seed=seed).folder for name, seed in
                            (("a", 1), ("b", 1), ("c", 2)))  # fmt: skip
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    assert any(not torch.equal(value, weights(third)[name]) for name, value in weights(first).items())


def test_rmu_trains_three_matrices_and_saves_its_direction(run, checkpoint) -> None:
    options = {"rmu": {"layer": 1, "coefficient": 5.0}, "rmu_retain": {"layer": 1}}
    outcome = run("rmu", options=options, learning_rate=1e-2)
    before = load_file(checkpoint / "model.safetensors")
    moved = {name for name, value in weights(outcome.folder).items() if not torch.equal(value, before[name])}
    assert moved == {f"model.layers.{i}.mlp.down_proj.weight" for i in (0, 1)}
    direction = load_file(outcome.folder / "rmu_direction.safetensors")["direction"]
    assert direction.norm().item() == pytest.approx(1.0)
    with pytest.raises(UserError, match="layer 7: the model has layers 0 to 2"):
        run("rmu", "deep")


def test_output_is_not_mixed(run, tmp_path) -> None:
    run("ga", epochs=1)
    with pytest.raises(UserError, match="not empty"):
        run("ga", epochs=1)
    with pytest.raises(UserError, match="has ended already"):
        run("ga", epochs=1, resume=True)
    run("ga", epochs=1, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="was not written by"):
        run("ga", "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_resume_refuses_another_run(run, tmp_path) -> None:
    def stop(model, tokenizer, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("ga", evaluate=stop, eval_every=1)
    with pytest.raises(UserError, match="learning_rate differ"):
        run("ga", evaluate=stop, eval_every=1, resume=True, learning_rate=2e-3)


def test_resume_refuses_other_rows_in_the_same_file(run, files, tmp_path) -> None:
    def stop(model, tokenizer, step):
        raise KeyboardInterrupt

    path = tmp_path / "rows.jsonl"
    text = Path(files["forget"]).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        run("ga", forget=(str(path),), evaluate=stop, eval_every=1)
    path.write_text(text.replace("small", "quiet"), encoding="utf-8")
    with pytest.raises(UserError, match="data differ"):
        run("ga", forget=(str(path),), evaluate=stop, eval_every=1, resume=True)


def test_rows_in_both_sets_are_pointed_out(run, files, caplog) -> None:
    run("ga+gdr", retain=(files["retain"], files["forget"]), epochs=1)
    assert "7 pairs are to be forgotten and to be retained" in caplog.text


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("sure+ga+gdr", {"sure": {"percentile": 80.0}}, '| step | {"name": "sure", "options": {"percentile": 80.0}} |'),
        ("task_vector", {"task_vector": {"alpha": 3}}, '"task_vector", "options": {"alpha": 3.0}'),
        ("ga+klr", {"klr": {"expectation": "reference"}}, '| klr | retain | 1 | {"expectation": "reference"} |'),
    ],
)
def test_card_tells_the_options_of_every_kind_of_method(run, checkpoint, method, options, said) -> None:
    from unlearn_bench.models.weight_files import weights_sha256

    card = (run(method, options=options, epochs=1).folder / "README.md").read_text(encoding="utf-8")
    assert said in card
    assert weights_sha256(checkpoint) in card
    assert "None" not in card


def test_adapter_on_a_model_without_linear_layers() -> None:
    class Bare(torch.nn.Module):
        def get_output_embeddings(self) -> None:
            return None

    with pytest.raises(UserError, match="no linear layers to put an adapter on"):
        _model.linear_names(Bare())


def test_too_little_disk_is_found_out_before_training(run, monkeypatch) -> None:
    monkeypatch.setattr(_disk.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match="GiB free"):
        run("ga")


def test_disk_estimate() -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB of weights, 8 MB of Adam's moments
    # Two checkpoints of 12 MB, the result of 4 MB, a tenth on top.
    assert _disk.needed_bytes(model, adapter=False) == pytest.approx(1.1 * (2 * 12e6 + 4e6))
    model.requires_grad_(False)
    assert _disk.needed_bytes(model, adapter=True) == 0


def test_linear_layers_but_not_the_head() -> None:
    from tests.tiny import tiny_model

    assert "lm_head" not in _model.linear_names(tiny_model("llama"))
    assert "embed_out" not in _model.linear_names(tiny_model("gpt_neox"))
    assert "query_key_value" in _model.linear_names(tiny_model("gpt_neox"))


def test_preferred_pairs_of_augmented_rows(run, files, tmp_path) -> None:
    rows = [json.loads(line) for line in Path(files["forget"]).read_text(encoding="utf-8").splitlines()]
    for row in rows[:2]:
        del row["original_answer"]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run("relearn_dpo", forget=(str(path),), batch_size=5).steps == 2  # 5 pairs are left
    for row in rows:
        row.pop("original_answer", None)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match="original_answer"):
        run("relearn_dpo", "none", forget=(str(path),))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "learning-rate must be above 0"),
        ({"max_steps": 0}, "max-steps must be at least 1"),
        ({"warmup": 1.0}, "warmup is a share"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"method": ""}, "--method is required"),
    ],
)
def test_settings_that_make_no_sense(settings, message) -> None:
    with pytest.raises(UserError, match=message):
        build({"model": "m", "method": "ga", "output": "o", **settings})


def test_what_is_given_wins_over_the_preset() -> None:
    config = build({"model": "m", "method": "relearn", "output": "o", "preset": "tofu", "epochs": 7.0})
    assert (config.epochs, config.learning_rate, config.lora.r) == (7.0, 1e-5, 8)


@pytest.mark.parametrize("text", ["r=x", "rank=8", "r8"])
def test_lora_is_read_or_refused(text: str) -> None:
    assert Lora.read("r=4,alpha=32") == Lora(r=4, alpha=32, dropout=0.1)
    with pytest.raises(UserError):
        Lora.read(text)
