"""What a trained checkpoint takes over from its base, and models that transformers would rather not save."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.tiny_training import make_tokenizer, trajectory
from unlearn_bench.trainers.config import Lora

pytestmark = pytest.mark.slow

LLAMA_2 = {"temperature": 0.9, "top_p": 0.6, "bos_token_id": 1, "eos_token_id": 2}


def _like_llama_2(checkpoint: Path, folder: Path, generation: dict[str, object]) -> Path:
    """A copy with sampling settings but no do_sample, and a tokenizer without a token to pad with."""
    shutil.copytree(checkpoint, folder)
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("pad_token")
    path.write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.mark.parametrize("method", ["ga+gdr", "task_vector", "merge", "retrain", "whp"])
def test_sampling_settings_without_sampling_do_not_stop_a_save(run, checkpoint, tmp_path, method: str) -> None:
    from transformers import AutoModelForCausalLM, GenerationConfig

    base = _like_llama_2(checkpoint, tmp_path / "base", LLAMA_2)
    outcome = run(method, model=str(base), epochs=1, save_every=1)
    kept = GenerationConfig.from_pretrained(outcome.folder)
    assert (kept.temperature, kept.top_p, kept.do_sample, kept.eos_token_id) == (0.9, 0.6, True, 2)
    AutoModelForCausalLM.from_pretrained(outcome.folder).save_pretrained(tmp_path / "again")


def test_settings_that_nothing_makes_valid_leave_the_special_tokens(tmp_path, caplog) -> None:
    from tests.tiny_training import make_model
    from unlearn_bench.trainers._saving import make_savable

    model = make_model()
    model.generation_config.cache_implementation = "none such"
    make_savable(model)
    model.save_pretrained(tmp_path)
    assert model.generation_config.eos_token_id == 2
    assert "only the special tokens are kept" in caplog.text


@pytest.mark.parametrize("method", ["ga+gdr", "merge", "task_vector"])
@pytest.mark.parametrize("cache", [True, False, None])
def test_the_configuration_stays_that_of_the_base(run, checkpoint, tmp_path, method: str, cache: bool | None) -> None:
    shutil.copytree(checkpoint, tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    assert before["use_cache"] is True
    before["use_cache"] = cache
    if cache is None:
        del before["use_cache"]
    path.write_text(json.dumps(before), encoding="utf-8")
    outcome = run(method, model=str(tmp_path / "base"), epochs=1)
    after = json.loads((outcome.folder / "config.json").read_text(encoding="utf-8"))
    assert after["use_cache"] is (cache is not False)  # transformers writes its default where nothing was said


def test_trajectory_of_a_resumed_run_has_the_same_bytes(run, tmp_path) -> None:
    whole = run("pdu", "whole", save_every=1, batch_size=2)

    def stop(model, tokenizer, step):
        if step == 5:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        run("pdu", "cut", evaluate=stop, eval_every=5, save_every=1, batch_size=2)
    resumed = run("pdu", "cut", evaluate=lambda *_: {}, eval_every=5, save_every=1, batch_size=2, resume=True)
    assert (resumed.folder / "trajectory.jsonl").read_bytes() == (whole.folder / "trajectory.jsonl").read_bytes()


def _state_space(folder: Path, kind: str) -> Path:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    small = {"vocab_size": 48, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0, "eos_token_id": 2}
    more = {
        "mamba": {"state_size": 4},
        "mamba2": {"state_size": 4, "num_heads": 4, "head_dim": 16, "n_groups": 1, "expand": 2, "chunk_size": 8},
        "rwkv": {"attention_hidden_size": 32, "intermediate_size": 48},
        "recurrent_gemma": {
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "lru_width": 32,
            "attention_window_size": 16,
        },
    }
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**{**small, **more[kind]}))
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["mamba", "mamba2", "rwkv", "recurrent_gemma"])
@pytest.mark.parametrize("lora", [None, Lora(r=2, alpha=4, dropout=0.0)], ids=["full", "lora"])
def test_models_without_a_key_value_cache_train(run, tmp_path, kind: str, lora: Lora | None) -> None:
    """Padding stands on the right, so that a state never runs through it before an answer."""
    base = _state_space(tmp_path / "base", kind)
    alone = run("npo+gdr", "one", model=str(base), batch_size=1, accumulate=4, epochs=1, lora=lora)
    together = run("npo+gdr", "four", model=str(base), batch_size=4, epochs=1, lora=lora)
    for a, b in zip(trajectory(alone.folder), trajectory(together.folder), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
    assert together.terms["forget/npo"] > 0
