"""Which checkpoints are found, refused and loaded, and with what words."""

import json
import shutil

import pytest
import torch

from tests.tiny import ARCHITECTURES, save_tiny, tiny_model
from unlearn_bench.errors import UserError
from unlearn_bench.models import identity, subject

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def adapter(checkpoint, tmp_path):
    from peft import LoraConfig, get_peft_model

    def make(*, dead: bool):
        model, _ = subject.load(subject.find(str(checkpoint)))
        torch.manual_seed(0)
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=dead)
        get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return make


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_loads_in_float32_on_a_cpu(architecture, tmp_path):
    folder = save_tiny(tmp_path / architecture, architecture)
    model, tokenizer = subject.load(subject.find(str(folder)))
    assert model.config.model_type == architecture
    assert model.dtype == torch.float32
    assert tokenizer.padding_side == "left"


def test_identity_follows_the_weights_and_names_no_path(checkpoint, tmp_path):
    source = subject.find(str(checkpoint))
    info = identity.describe(source, *subject.load(source))
    other = save_tiny(tmp_path / "tiny", seed=1)
    changed = identity.describe(subject.find(str(other)), *subject.load(subject.find(str(other))))
    assert info.name == changed.name == "tiny"
    assert info.weights_sha256 != changed.weights_sha256
    assert info.config_sha256 == changed.config_sha256
    assert info.parameters == sum(p.numel() for p in tiny_model().parameters())
    assert str(checkpoint.parent) not in info.model_dump_json()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./missing", "no such folder"),
        ("nano-ful", "no such folder, file, embedded model or hub id"),
        ("organisation/name", "can it be downloaded from the hub"),
    ],
)
def test_unknown_model_says_what_is_known(name, words):
    with pytest.raises(UserError, match=words):
        subject.find(name)


def test_empty_folder(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json in the folder \(found: nothing\)"):
        subject.find(str(tmp_path))


def test_folder_without_weights(checkpoint, tmp_path):
    shutil.copy(checkpoint / "config.json", tmp_path)
    with pytest.raises(UserError, match="no weights in the folder"):
        subject.find(str(tmp_path))


def test_pickle_is_refused_unless_allowed(checkpoint, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(checkpoint, folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="--allow-pickle"):
        subject.find(str(folder))
    model, _ = subject.load(subject.find(str(folder), allow_pickle=True))
    assert torch.equal(model.lm_head.weight, tiny_model().lm_head.weight)


def test_remote_code_is_refused_unless_asked_for(checkpoint, tmp_path):
    folder = tmp_path / "remote"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(UserError, match="--trust-remote-code"):
        subject.find(str(folder))
    subject.find(str(folder), trust_remote_code=True)


def test_broken_config_is_one_clear_line(tmp_path):
    (tmp_path / "config.json").write_text("{not json")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="not valid JSON"):
        subject.find(str(tmp_path))


def test_truncated_weights_are_one_clear_line(checkpoint, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(checkpoint, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        subject.load(subject.find(str(folder)))


def test_live_adapter_is_applied_and_dead_one_is_reported(checkpoint, adapter):
    live = subject.find(str(checkpoint), adapter=str(adapter(dead=False)))
    assert identity.describe(live, *subject.load(live)).adapter_dead is False
    dead = subject.find(str(checkpoint), adapter=str(adapter(dead=True)))
    info = identity.describe(dead, *subject.load(dead))
    assert info.adapter_dead is True
    assert info.adapter == "adapter"


def test_adapter_folder_as_model_finds_its_base(checkpoint, adapter):
    source = subject.find(str(adapter(dead=False)))
    assert source.folder == checkpoint
    assert source.adapter.name == "adapter"


def test_pad_token_is_made_where_the_tokenizer_has_none(checkpoint, tmp_path):
    folder = tmp_path / "nopad"
    shutil.copytree(checkpoint, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}))
    _, tokenizer = subject.load(subject.find(str(folder)))
    assert tokenizer.pad_token == "</s>"
