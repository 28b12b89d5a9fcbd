"""Training goes on from an adapter: what is written gives the numbers of the model that was trained."""

import json
import shutil

import pytest
import torch

from unlearn_bench.errors import UserError
from unlearn_bench.models.subject import load_subject
from unlearn_bench.trainers.config import Lora

pytestmark = pytest.mark.slow

IDS = torch.tensor([[4, 5, 6, 20]])
LORA = Lora(r=2, alpha=4, dropout=0.0)


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


@pytest.fixture
def adapter(run):
    return run("ga", "first", lora=LORA, max_steps=2, learning_rate=1e-1).folder


class Seen:
    """The last model that a run scored, as its logits."""

    def __call__(self, model, tokenizer, step):
        self.logits = logits(model)
        return {}


@pytest.mark.parametrize("lora", [LORA, None], ids=["another adapter", "the whole model"])
def test_what_is_written_is_what_was_trained(run, checkpoint, adapter, tmp_path, lora) -> None:
    seen = Seen()
    again = {"adapter": str(adapter), "lora": lora, "max_steps": 2, "learning_rate": 1e-2, "eval_every": 2}
    folder = run("ga+gdr", "second", evaluate=seen, **again).folder
    first, second = (load_subject(str(path))[0] for path in (adapter, folder))
    torch.testing.assert_close(logits(second), seen.logits, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits(second), logits(first), atol=1e-3)
    assert not torch.allclose(logits(first), logits(load_subject(str(checkpoint))[0]), atol=1e-3)
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))["model"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert record["adapter"] == "first"
    assert f"| adapter merged into the model before training | first ({record['adapter_sha256']}) |" in card
    assert (record["merged_base"] is not None) is (lora is not None)
    assert not any(path.is_dir() for path in folder.iterdir() if path.name != record["merged_base"])
    assert str(tmp_path) not in json.dumps(record) + card


def test_the_merged_base_moves_with_its_adapter(run, checkpoint, adapter, tmp_path) -> None:
    folder = run("ga", "second", adapter=str(adapter), lora=LORA, max_steps=1).folder
    base = f"{checkpoint.name}+first"
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == str(folder / base)
    before = logits(load_subject(str(folder))[0])
    moved = shutil.move(folder, tmp_path / "moved")
    torch.testing.assert_close(logits(load_subject(str(moved))[0]), before, rtol=0, atol=0)


def test_a_third_stage_keeps_both(run, adapter) -> None:
    """Named by its folder alone, an adapter brings its base along."""
    second = run("ga", "second", model=str(adapter), lora=LORA, max_steps=1, learning_rate=1e-2).folder
    seen = Seen()
    third = run("ga", "third", model=str(second), lora=LORA, max_steps=1, evaluate=seen, eval_every=1).folder
    torch.testing.assert_close(logits(load_subject(str(third))[0]), seen.logits, rtol=1e-5, atol=1e-5)


def test_a_recipe_that_writes_a_whole_model_needs_no_base_beside_it(run, adapter) -> None:
    folder = run("merge", "merged", adapter=str(adapter), lora=LORA, max_steps=1).folder
    assert (folder / "model.safetensors").is_file()
    assert not any(path.is_dir() for path in folder.iterdir())
    load_subject(str(folder))


def test_the_adapter_of_a_hub_or_embedded_base_names_it_again(run, tmp_path) -> None:
    first = run("ga", "first", model="nano-full", lora=LORA, max_steps=1).folder
    again = run("ga", "second", model=str(first), lora=None, max_steps=1).folder
    assert not (again / "adapter_config.json").exists()
    settings = json.loads((first / "adapter_config.json").read_text(encoding="utf-8"))
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("nano-full", None)


def test_the_models_own_settings_are_saved_as_they_were(run, checkpoint) -> None:
    before, after = (
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for folder in (checkpoint, run("ga", max_steps=1).folder)
    )
    assert after == {**before, "dtype": "float32"}


def test_a_partly_loaded_model_is_on_record(run, checkpoint, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, broken / "model.safetensors")
    with pytest.raises(UserError, match=r"1 missing \(lm_head\.weight\)"):
        run("ga", model=str(broken), max_steps=1)
    folder = run("ga", model=str(broken), max_steps=1, allow_partial=True, overwrite=True).folder
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert record["model"]["partial"] == "tensors 1 missing (lm_head.weight)"
    assert "did not fit before training | tensors 1 missing" in (folder / "README.md").read_text(encoding="utf-8")
