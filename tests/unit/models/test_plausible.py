"""A config.json that does not describe the weights beside it is told before time and memory are taken."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import save_tiny
from unlearn_bench.errors import UserError
from unlearn_bench.models import subject


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def edit(path, **changes):
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**settings, **changes}))


def refusal(folder):
    with pytest.raises(UserError) as caught:
        subject.load(subject.find(str(folder)))
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers 1000000, and the weight files hold 21 tensors"),
        ({"num_hidden_layers": 1e30}, "num_hidden_layers 1e+30, and"),
        ({"num_hidden_layers": 1}, "9 unexpected (model.layers.1."),
        ({"num_hidden_layers": 3}, "9 missing (model.layers.2."),
        ({"model_type": "mixtral", "num_local_experts": 10**9}, "num_local_experts 1000000000"),
        ({"num_labels": 10**8}, "num_labels 100000000"),
        ({"vocab_size": 10**9}, "describes 64,000,018,592 parameters; the weight files have"),
        ({"intermediate_size": 10**9}, "describes 192,000,010,400 parameters"),
        ({"num_attention_heads": 3}, "not a multiple"),
        ({"num_attention_heads": 0}, "ZeroDivisionError"),
        ({"num_key_value_heads": 3}, "[16, 32] in the file, [24, 32] in the model"),
        ({"quantization_config": {"quant_method": "magic"}}, "names the quantization 'magic'"),
        ({"quantization_config": {}}, "names the quantization 'none'"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "requires optimum"),
        ({"eos_token_id": "x"}, "eos_token_id"),
        ({"eos_token_id": [2, -7]}, "eos_token_id -7 is not a token id"),
        ({"model_type": "novel"}, "model type `novel`"),
        ({"hidden_act": "boom"}, "KeyError: 'boom'"),
    ],
    ids=str,
)
def test_settings_that_are_not_those_of_the_weights(folder, changes, words):
    edit(folder / "config.json", **changes)
    assert words in refusal(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", '{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ("config.json", "null", "expected a JSON object"),
        ("generation_config.json", "{", "generation_config.json: not valid JSON"),
        ("generation_config.json", '{"eos_token_id": "x"}', "eos_token_id 'x' is not a token id"),
        ("tokenizer.json", "{", "the tokenizer of model copy: cannot be loaded"),
        ("tokenizer_config.json", "[]", "the tokenizer of model copy: cannot be loaded"),
    ],
)
def test_broken_files(folder, name, content, words):
    (folder / name).write_text(content)
    assert words in refusal(folder)


def test_a_folder_without_tokenizer_says_what_to_copy(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    with pytest.raises(UserError, match="the tokenizer of model copy") as caught:
        subject.load(subject.find(str(folder)))
    assert "copy tokenizer.json" in caught.value.hint


def test_weights_that_are_whole_numbers_need_a_quantization(folder):
    tensors = load_file(folder / "model.safetensors")
    save_file({n: (t * 100).to(torch.int8) for n, t in tensors.items()}, folder / "model.safetensors")
    assert "21 weights are whole numbers (lm_head.weight, …)" in refusal(folder)


def test_a_broken_template_does_not_matter_where_it_is_not_used(folder):
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    assert "its chat template cannot be used" in refusal(folder)
    subject.load(subject.find(str(folder)), uses_template=False)


def test_too_little_memory_is_one_line(folder, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 12 bytes")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    assert refusal(folder) == "model copy: cannot be loaded: it does not fit into the memory that this process may use"
