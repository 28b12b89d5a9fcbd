"""Exactly the files that are loaded are named and hashed; what leads astray is refused."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import save_tiny, tiny_model
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_files
from unlearn_bench.models import identity, subject
from unlearn_bench.models.weight_files import find_weights, weights_sha256

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture
def sharded(folder):
    model = tiny_model()
    model.save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


def edit_index(folder, change, name="model.safetensors.index.json"):
    index = json.loads((folder / name).read_text())
    index["weight_map"] = {key: change(part) for key, part in index["weight_map"].items()}
    (folder / name).write_text(json.dumps(index))


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
    return folder


def test_the_hash_is_of_the_loaded_file_alone(folder):
    before = weights_sha256(folder)
    assert before == sha256_files([folder / "model.safetensors"], folder)
    (folder / "README.md").write_text("text")
    (folder / "direction.safetensors").write_bytes(b"written by a method, never loaded")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle beside safetensors is never loaded")
    assert weights_sha256(folder) == before
    save_file(tiny_model(seed=1).state_dict(), folder / "model.safetensors")
    assert weights_sha256(folder) != before


def test_the_hash_is_of_all_parts_that_the_index_names(sharded):
    weights = find_weights(sharded, what="m")
    assert len(weights.files) > 1
    assert weights.sha256 == sha256_files(sharded.glob("model-*.safetensors"), sharded)
    model, _ = subject.load(subject.find(str(sharded)))
    assert torch.equal(model.lm_head.weight, tiny_model().lm_head.weight)
    assert weights.tensors.keys() == tiny_model().state_dict().keys()


def test_a_safetensors_file_of_another_name_makes_no_pickle_safe(folder):
    shutil.copy(folder / "model.safetensors", folder / "decoy.safetensors")
    pickled(folder)
    with pytest.raises(UserError, match=r"pickled, pytorch_model\.bin \(decoy\.safetensors would not be loaded\)"):
        subject.find(str(folder))
    source = subject.find(str(folder), allow_pickle=True)
    info = identity.describe(source, *subject.load(source))
    assert info.weights_sha256 == sha256_files([folder / "pytorch_model.bin"], folder)


@pytest.mark.parametrize("content", [b"", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"], ids=["no bytes", "no tensors"])
def test_an_empty_safetensors_file_beside_a_pickle_is_an_error(folder, content):
    pickled(folder)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|the weight files have 10 bytes"):
        subject.load(subject.find(str(folder), allow_pickle=True))


def test_a_pickled_index_is_refused_unless_allowed(folder):
    pickled(folder).joinpath("pytorch_model.bin").rename(folder / "part-1.bin")
    names = dict.fromkeys(tiny_model().state_dict(), "part-1.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    shutil.copy(folder / "config.json", folder / "x.safetensors")
    with pytest.raises(UserError, match=r"pickled, pytorch_model\.bin\.index\.json"):
        subject.find(str(folder))
    source = subject.find(str(folder), allow_pickle=True)
    assert [path.name for path in source.weights.files] == ["part-1.bin"]
    model, _ = subject.load(source)
    assert torch.equal(model.lm_head.weight, tiny_model().lm_head.weight)


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_parts_outside_of_the_folder_are_refused(sharded, tmp_path, way):
    outside = tmp_path / "outside"
    outside.mkdir()
    for part in sharded.glob("model-*.safetensors"):
        shutil.move(part, outside / part.name)
    if way == "link":
        for part in outside.iterdir():
            os.symlink(part, sharded / part.name)
    else:
        edit_index(sharded, lambda part: f"../outside/{part}" if way == "up" else str(outside / part))
    with pytest.raises(UserError, match="lie outside of its folder"):
        subject.find(str(sharded))


def test_a_link_to_a_file_outside_is_refused_but_not_in_the_hubs_cache(folder, tmp_path):
    cache = tmp_path / "models--org--name"
    (cache / "blobs").mkdir(parents=True)
    snapshot = shutil.copytree(folder, cache / "snapshots" / "0123abc")
    shutil.move(snapshot / "model.safetensors", cache / "blobs" / "ab12")
    os.symlink("../../blobs/ab12", snapshot / "model.safetensors")
    assert weights_sha256(snapshot) == weights_sha256(folder)
    elsewhere = shutil.copytree(snapshot, tmp_path / "plain", symlinks=True)
    os.symlink(cache / "blobs" / "ab12", elsewhere / "new")
    (elsewhere / "new").rename(elsewhere / "model.safetensors")
    with pytest.raises(UserError, match="lie outside"):
        subject.find(str(elsewhere))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda part: part.replace(".safetensors", ".bin"), "which is no .safetensors file"),
        (lambda part: "gone.safetensors", "part gone.safetensors of the weights is missing"),
        (lambda part: 3, "has no weight_map"),
    ],
)
def test_an_index_that_makes_no_sense(sharded, change, words):
    edit_index(sharded, change)
    with pytest.raises(UserError, match=words):
        subject.find(str(sharded))


def test_a_config_that_names_its_own_weight_file_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    save_file(tiny_model(seed=1).state_dict(), folder / "other.safetensors")
    (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": "other.safetensors"}))
    with pytest.raises(UserError, match=r"its own weight file, other\.safetensors"):
        subject.load(subject.find(str(folder)))


def test_a_distributed_part_would_be_loaded_in_place_of_the_model(folder):
    shutil.copy(folder / "model.safetensors", folder / "shard-00000-model-00001-of-00001.safetensors")
    with pytest.raises(UserError, match="part of a distributed checkpoint"):
        subject.find(str(folder))


@pytest.mark.parametrize("argument", ["variant", "subfolder", "use_safetensors", "ignore_mismatched_sizes"])
def test_arguments_that_choose_other_files_are_refused(folder, argument):
    with pytest.raises(UserError, match=f"--model-args {argument} is not taken"):
        subject.load(subject.find(str(folder)), **{argument: "x"})


def rewritten(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {new: value.clone() for name, value in tensors.items() for new in change(name)}, folder / "model.safetensors"
    )
    return subject.find(str(folder))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name: [f"net.{name}"], r"21 missing \(lm_head\.weight, .*, …\); 21 unexpected \(net\.lm_head\.weight"),
        (lambda name: [] if ".layers.1." in name else [name], r"9 missing \(model\.layers\.1\.input_layernorm\.weight"),
        (lambda name: [name.replace("q_proj", "query")], r"2 missing .*q_proj.*2 unexpected .*query"),
        (lambda name: [] if name == "lm_head.weight" else [name], r"1 missing \(lm_head\.weight\)"),
        (lambda name: [name] + ["value_head.weight"] * (name == "model.norm.weight"), "1 unexpected .value_head"),
    ],
    ids=["other prefix", "a layer less", "renamed", "no head", "one too many"],
)
def test_tensors_that_do_not_fit_are_named(folder, change, words):
    source = rewritten(folder, change)
    with pytest.raises(UserError, match=words) as caught:
        subject.load(source)
    assert "--allow-partial" in caught.value.hint
    told = []
    model, tokenizer = subject.load(source, on_partial=told.append)
    assert len(told) == 1
    assert identity.describe(source, model, tokenizer, partial=told[0]).partial.startswith("tensors ")


def test_a_tensor_of_another_shape_is_named(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(31)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.norm\.weight \[31\] in the file, \[32\] in the model"):
        subject.load(subject.find(str(folder)))


def test_what_may_be_missing_or_left_over(tmp_path):
    """A tied head, names without the class's prefix, and buffers that older versions wrote."""
    tied = save_tiny(tmp_path / "tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(tied / "model.safetensors")
    model, _ = subject.load(subject.find(str(tied)))
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tensors = {name.removeprefix("model."): value for name, value in load_file(tied / "model.safetensors").items()}
    tensors |= {f"layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(2)}
    save_file(tensors, tied / "model.safetensors")
    again, _ = subject.load(subject.find(str(tied)))
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


def test_masks_among_the_weights_of_an_old_gpt_neox_are_no_error(tmp_path):
    folder = save_tiny(tmp_path / "neox", "gpt_neox")
    tensors = load_file(folder / "model.safetensors")
    for i in range(2):
        tensors[f"gpt_neox.layers.{i}.attention.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool)
        tensors[f"gpt_neox.layers.{i}.attention.masked_bias"] = torch.tensor(-1e9)
        tensors[f"gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors")
    subject.load(subject.find(str(folder)))
    tensors["gpt_neox.layers.1.attention.dense.biaz"] = torch.ones(32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"1 unexpected \(gpt_neox\.layers\.1\.attention\.dense\.biaz\)"):
        subject.load(subject.find(str(folder)))


def test_a_head_that_the_config_calls_tied_is_kept(folder):
    """lm-eval ties the weights of whatever model it is given."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    model, _ = subject.load(subject.find(str(folder)))
    model.tie_weights()
    assert torch.equal(model.lm_head.weight, tiny_model().lm_head.weight)
