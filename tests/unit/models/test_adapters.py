"""An adapter gives PEFT's own logits, or is refused; nothing of it is left out in silence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import save_tiny, tiny_model, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.models import identity, subject

pytestmark = pytest.mark.slow

IDS = torch.tensor([[4, 9, 12, 20, 3]])
LORA = {"r": 2, "target_modules": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The base with a head of its own, and the base whose head is its embedding."""
    folder = tmp_path_factory.mktemp("models")
    return {
        False: save_tiny(folder / "untied"),
        True: save_tiny(folder / "tied", tie_word_embeddings=True),
    }


def make(base, folder, config, *, rows=None):
    """Save an adapter whose tensors are all random; returns (its folder, PEFT's own logits once it is loaded)."""
    from peft import PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    peft_model = get_peft_model(model, config)
    with torch.no_grad():
        for parameter in peft_model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    peft_model.save_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(base)
    if rows:
        again.resize_token_embeddings(rows)
    return folder, logits(PeftModel.from_pretrained(again, folder))


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def loaded(base, adapter, **arguments):
    model, tokenizer = subject.load(subject.find(str(base), adapter=str(adapter)), **arguments)
    model.tie_weights() if not hasattr(model, "get_base_model") else model.get_base_model().tie_weights()
    return model, tokenizer


def lora(**changes):
    from peft import LoraConfig

    return LoraConfig(**{**LORA, "task_type": "CAUSAL_LM", **changes})


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["lm_head", "embed_tokens"]},
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"trainable_token_indices": [5, 9]},
        {"use_dora": True},
        {"use_rslora": True, "rank_pattern": {"v_proj": 1}},
        {"bias": "lora_only"},
    ],
    ids=lambda changes: "-".join(f"{k}={v}" for k, v in changes.items()),
)
def test_lora_in_all_its_forms(folders, tmp_path, tied, changes):
    if changes.get("ensure_weight_tying") and not tied:
        pytest.skip("nothing is tied")
    adapter, expected = make(folders[tied], tmp_path / "a", lora(**changes))
    model, _ = loaded(folders[tied], adapter)
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)


_RARE = ["AdaLora", "LoKr", "OFT", "BOFT", "Vera", "LNTuning", "FourierFT"]


@pytest.mark.parametrize("kind", ["IA3", "LoHa", *(pytest.param(kind, marks=pytest.mark.slow) for kind in _RARE)])
def test_other_kinds(folders, tmp_path, kind):
    import peft

    targets = {"target_modules": ["q_proj", "o_proj"]}
    own = {
        "IA3": {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
        "AdaLora": {**targets, "total_step": 10},
        "OFT": {**targets, "oft_block_size": 8},
        "BOFT": {**targets, "boft_block_size": 8},
        "LNTuning": {"target_modules": ["norm"]},
        "FourierFT": {**targets, "n_frequency": 20},
    }
    config = getattr(peft, f"{kind}Config")(task_type="CAUSAL_LM", **own.get(kind, targets))
    adapter, expected = make(folders[False], tmp_path / "a", config)
    model, tokenizer = loaded(folders[False], adapter)
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)
    assert not torch.allclose(expected, logits(tiny_model()))
    info = identity.describe(subject.find(str(folders[False]), adapter=str(adapter)), model, tokenizer)
    assert info.adapter_dead is (None if kind in ("IA3", "OFT", "BOFT", "LNTuning") else False)


@pytest.mark.parametrize("kind", ["PromptTuning", "PrefixTuning", "PromptEncoder", "AdaptionPrompt"])
def test_virtual_tokens_are_refused_by_name(folders, tmp_path, kind):
    import peft

    own = {"adapter_layers": 1, "adapter_len": 4} if kind == "AdaptionPrompt" else {"num_virtual_tokens": 4}
    model = tiny_model()
    peft.get_peft_model(model, getattr(peft, f"{kind}Config")(task_type="CAUSAL_LM", **own)).save_pretrained(
        tmp_path / "a"
    )
    with pytest.raises(UserError, match=r"adapters of type (PROMPT|PREFIX|P|ADAPTION)_(TUNING|PROMPT) are not"):
        loaded(folders[False], tmp_path / "a")


@pytest.mark.parametrize("tied", [False, True])
def test_an_added_token_and_the_adapters_own_tokenizer(folders, tmp_path, tied):
    adapter, expected = make(folders[tied], tmp_path / "a", lora(), rows=70)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["Fjord"])
    tokenizer.save_pretrained(adapter)
    model, own = loaded(folders[tied], adapter)
    assert "Fjord" in own.get_vocab()
    assert model.get_input_embeddings().num_embeddings == 70
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)
    source = subject.find(str(folders[tied]), adapter=str(adapter))
    plain = subject.find(str(folders[tied]))
    assert identity.describe_files(source).tokenizer_sha256 != identity.describe_files(plain).tokenizer_sha256
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) is tied


def edited(adapter, change):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({new: value.clone() for name, value in tensors.items() for new in change(name)}, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: [] if "layers.1" in n else [n], r"4 missing \(base_model\.model\.model\.layers\.1"),
        (lambda n: [n.replace("self_attn", "attention")], r"8 missing .*; 8 unexpected \(.*attention"),
        (lambda n: [] if "lora_B" in n else [n], "4 missing"),
        (lambda n: [], "8 missing"),
    ],
    ids=["half", "renamed", "no B", "none"],
)
def test_an_adapter_that_is_not_whole(folders, tmp_path, change, words):
    adapter, _ = make(folders[False], tmp_path / "a", lora())
    edited(adapter, change)
    with pytest.raises(UserError, match=words) as caught:
        loaded(folders[False], adapter)
    assert "adapter a: " in caught.value.message
    told = []
    loaded(folders[False], adapter, on_partial=told.append)
    assert len(told) == 1


def test_a_module_that_was_trained_whole_is_missing(folders, tmp_path):
    adapter, _ = make(folders[False], tmp_path / "a", lora(modules_to_save=["lm_head"]))
    edited(adapter, lambda name: [] if "lm_head" in name else [name])
    with pytest.raises(UserError, match=r"base_model\.model\.lm_head\.weight is missing"):
        loaded(folders[False], adapter)


def test_another_rank_or_another_base_names_the_tensors(folders, tmp_path):
    adapter, _ = make(folders[False], tmp_path / "a", lora())
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 4}))
    with pytest.raises(UserError, match=r"8 of another shape \(\S+lora_A\S+ \[2, 32\] in the file, \[4, 32\] in the"):
        loaded(folders[False], adapter)
    wide = save_tiny(tmp_path / "wide", hidden_size=64)
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 2}))
    with pytest.raises(UserError, match=r"lora_A\S+ \[2, 32\] in the file, \[2, 64\] in the model"):
        loaded(wide, adapter)


def test_an_adapter_beside_whole_weights_must_be_chosen(folders, tmp_path):
    both = shutil.copytree(folders[False], tmp_path / "both")
    _, expected = make(folders[False], both, lora())
    with pytest.raises(UserError, match="a whole checkpoint and an adapter") as caught:
        subject.find(str(both))
    assert f"--adapter {both}" in caught.value.hint
    applied = subject.find(str(both), adapter=str(both))
    assert identity.describe_files(applied).adapter == "both"
    torch.testing.assert_close(logits(subject.load(applied)[0]), expected, rtol=0, atol=0)
    plain = subject.find(str(both), adapter="none")
    assert identity.describe_files(plain).adapter is None
    torch.testing.assert_close(logits(subject.load(plain)[0]), logits(tiny_model()), rtol=0, atol=0)


def test_an_adapter_with_a_copy_of_its_bases_config_is_an_adapter(folders, tmp_path):
    adapter, expected = make(folders[False], tmp_path / "a", lora())
    shutil.copy(folders[False] / "config.json", adapter)
    source = subject.find(str(adapter))
    assert (source.name, source.adapter_name) == ("untied", "a")
    torch.testing.assert_close(logits(subject.load(source)[0]), expected, rtol=0, atol=0)


def test_a_pickled_adapter_is_refused_unless_allowed(folders, tmp_path):
    adapter, expected = make(folders[False], tmp_path / "a", lora())
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").rename(adapter / "decoy.safetensors")
    with pytest.raises(UserError, match=r"pickled, adapter_model\.bin \(decoy\.safetensors would not be loaded\)"):
        subject.find(str(folders[False]), adapter=str(adapter))
    source = subject.find(str(folders[False]), adapter=str(adapter), allow_pickle=True)
    before = identity.describe_files(source).adapter_sha256
    torch.testing.assert_close(logits(subject.load(source)[0]), expected, rtol=0, atol=0)
    (adapter / "decoy.safetensors").unlink()
    again = subject.find(str(folders[False]), adapter=str(adapter), allow_pickle=True)
    assert identity.describe_files(again).adapter_sha256 == before


@pytest.mark.parametrize("settings", [{"peft_type": "NOVEL"}, {"peft_type": None}, {"r": "x"}, {"target_modules": []}])
def test_a_broken_adapter_config_is_one_line(folders, tmp_path, settings):
    adapter, _ = make(folders[False], tmp_path / "a", lora())
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    with pytest.raises(UserError) as caught:
        loaded(folders[False], adapter)
    assert "\n" not in caught.value.message
