"""`unlearn_bench.evaluate`: a checkpoint gives what `run` gives, and so does the same model in memory."""

import copy
import json

import pytest

import unlearn_bench
from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench import UserError

TASKS = ["tofu_kfr", "tofu_krr"]


@pytest.fixture
def settings(tofu_folder):
    return {"tasks": TASKS, "data_dir": str(tofu_folder), "limit": 6, "generation": {"max_gen_toks": 16}}


@pytest.fixture
def in_memory():
    """What the fixture `checkpoint` holds, before it was saved."""
    return tiny_model(), tiny_tokenizer()


def test_checkpoint_gives_what_the_command_gives(run, checkpoint, settings):
    code, folder = run("--limit", "6", tasks=",".join(TASKS))
    assert code == 0
    found = unlearn_bench.evaluate(str(checkpoint), **settings)
    written = unlearn_bench.load_result(folder)
    assert found.samples == written.samples
    assert found.to_dict()["tasks"] == written.to_dict()["tasks"]
    assert found.result.model == written.result.model
    assert found.result.samples_sha256 == written.result.samples_sha256


def test_model_in_memory_gives_what_its_checkpoint_gives(in_memory, checkpoint, settings):
    model, tokenizer = in_memory
    found = unlearn_bench.evaluate(model, tokenizer=tokenizer, **settings)
    saved = unlearn_bench.evaluate(checkpoint, **settings)
    assert [s.response for s in found.samples] == [s.response for s in saved.samples]
    assert {k: v.value for k, v in found.metrics.items()} == {k: v.value for k, v in saved.metrics.items()}
    assert found.result.model.source == "in memory"
    assert found.result.model.parameters == saved.result.model.parameters
    report = unlearn_bench.compare(found, saved, metrics=["kfr"])
    assert not report.unlike
    assert report.rows[0].others[0].difference == 0


def test_lent_model_comes_back_as_it_was(in_memory, settings):
    model, tokenizer = in_memory
    model.train()
    model.lm_head.eval()
    tokenizer.padding_side = "right"
    before, generation = copy.deepcopy(model.state_dict()), model.generation_config
    unlearn_bench.evaluate(model, tokenizer=tokenizer, **settings)
    assert model.training
    assert not model.lm_head.training
    assert model.generation_config is generation
    assert tokenizer.padding_side == "right"
    assert all(bool((before[name] == tensor).all()) for name, tensor in model.state_dict().items())


def test_lent_model_comes_back_after_an_error(in_memory, settings):
    model, tokenizer = in_memory
    model.train()
    with pytest.raises(UserError, match="--max-gen-toks"):
        unlearn_bench.evaluate(model, tokenizer=tokenizer, **{**settings, "generation": {"max_gen_toks": 10_000}})
    assert model.training


def test_weights_are_known_by_their_tensors(in_memory):
    from unlearn_bench.models.in_memory import describe

    model, tokenizer = in_memory
    first = describe(model, tokenizer)
    assert first == describe(copy.deepcopy(model), tokenizer)
    model.lm_head.weight.data = model.lm_head.weight.data.t().contiguous().t()  # another layout of the same numbers
    assert describe(model, tokenizer).weights_sha256 == first.weights_sha256
    model.lm_head.weight.data[0, 0] += 1e-3
    assert describe(model, tokenizer).weights_sha256 != first.weights_sha256
    assert describe(model.half(), tokenizer).dtype == "float16"


def test_tensor_hash_is_what_the_docstring_says():
    import hashlib
    import struct

    import torch

    from unlearn_bench.models.in_memory import tensors_sha256

    found = tensors_sha256({"b": torch.tensor([1.0, 2.0]), "a": torch.zeros(0, 3, dtype=torch.int64)})
    listing = [
        ["a", "int64", [0, 3], hashlib.sha256(b"").hexdigest()],
        ["b", "float32", [2], hashlib.sha256(struct.pack("<2f", 1.0, 2.0)).hexdigest()],
    ]
    assert found == hashlib.sha256(json.dumps(listing, separators=(",", ":")).encode()).hexdigest()


def test_adapter_in_memory_is_part_of_the_model(in_memory, settings):
    from peft import LoraConfig, get_peft_model

    model, tokenizer = in_memory
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    found = unlearn_bench.evaluate(adapted, tokenizer=tokenizer, name="tiny+lora", **settings)
    assert found.result.model.name == "tiny+lora"
    assert found.result.model.adapter_dead is True
    assert any("dead adapter" in note for note in found.result.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": None}, "needs its loaded tokenizer"),
        ({"revision": "main"}, "revision='main' is for a checkpoint"),
        ({"backend": "vllm"}, "backend='vllm' is for a checkpoint"),
        ({"limt": 3}, "unknown setting 'limt'"),
        ({"tasks": "tofu_kfr"}, "expected several names"),
        ({"tasks": ["tofu_kf"]}, "tofu_kfr"),
        ({"prompt": "chatty"}, "chatty"),
    ],
)
def test_mistakes_with_a_loaded_model(in_memory, settings, changes, message):
    model, tokenizer = in_memory
    with pytest.raises(UserError, match=message):
        unlearn_bench.evaluate(model, **{"tokenizer": tokenizer, **settings, **changes})


def test_what_is_no_causal_language_model_is_refused(in_memory, settings):
    import torch

    _, tokenizer = in_memory
    with pytest.raises(UserError, match="expected a model of transformers, got Linear"):
        unlearn_bench.evaluate(torch.nn.Linear(2, 2), tokenizer=tokenizer, **settings)
    with pytest.raises(UserError, match="LlamaModel is no causal language model"):
        unlearn_bench.evaluate(tiny_model().model, tokenizer=tokenizer, **settings)
    with torch.device("meta"):
        empty = type(tiny_model())(tiny_model().config)
    with pytest.raises(UserError, match="not in memory"):
        unlearn_bench.evaluate(empty, tokenizer=tokenizer, **settings)
