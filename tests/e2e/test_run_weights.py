"""`run` on checkpoints whose weights, adapters or templates are not in order: an error in one line, or a note."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import save_tiny
from unlearn_bench import results

FEW = ("--limit", 2, "--tasks", "tofu_kfr", "--max-gen-toks", 4, "--quiet")


@pytest.fixture
def lost_layer(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "lost")
    tensors = {n: t for n, t in load_file(folder / "model.safetensors").items() if ".layers.1." not in n}
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_lost_layer_is_an_error_or_a_note(run, capsys, lost_layer):
    code, folder = run(*FEW, "--model", lost_layer)
    assert code == 2
    err = capsys.readouterr().err
    assert "9 missing (model.layers.1." in err
    assert "--allow-partial" in err
    assert len(err.strip().splitlines()) == 2
    code, folder = run(*FEW, "--model", lost_layer, "--allow-partial")
    result = results.read_result(folder)
    assert code == 0
    assert result.model.partial.startswith("tensors 9 missing (model.layers.1.")
    assert any("the model is not whole" in note for note in result.notes)


def test_a_tied_base_whose_head_an_adapter_trained(run, tmp_path):
    """lm-eval ties the weights of any model once more."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = save_tiny(tmp_path / "tied", tie_word_embeddings=True)
    config = LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path / "adapter")
    code, folder = run(*FEW, "--model", base, "--adapter", tmp_path / "adapter")
    assert code == 0
    assert results.read_result(folder).model.adapter == "adapter"


def test_a_template_that_raises_is_one_line_unless_it_is_not_used(run, capsys, checkpoint, tmp_path):
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    code, _ = run(*FEW, "--model", broken)
    assert code == 2
    assert "its chat template cannot be used: TemplateError: no" in capsys.readouterr().err
    code, _ = run(*FEW, "--model", broken, "--prompt", "qa", output="plain")
    assert code == 0
