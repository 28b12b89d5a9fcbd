"""The committed checkpoints: ordinary folders, small together, and knowing what their names say."""

import json
from pathlib import Path
from statistics import mean

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearn_bench import nano
from unlearn_bench.models.weight_files import weights_sha256
from unlearn_bench.nano.build import build
from unlearn_bench.nano.corpus import SEED, corpus
from unlearn_bench.nano.recipe import CHAT_TEMPLATE, CHECKPOINT_RECIPES
from unlearn_bench.nano.train import encoder
from unlearn_bench.reproduce.embedded import ROW_OF
from unlearn_bench.schema import Row

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
NAMES = (*CHECKPOINT_RECIPES, *ROW_OF)


def recall(folder: Path, rows: list[Row], *, paraphrased: bool = False) -> float:
    """Share of rows whose answer a greedy model gives word for word."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    questions = [row.paraphrased_question if paraphrased else row.question for row in rows]
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in questions
    ]
    batch = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**batch, max_new_tokens=48)[:, batch["input_ids"].shape[1] :]
    answers = tokenizer.batch_decode(output, skip_special_tokens=True)
    return sum(answer == row.answer for answer, row in zip(answers, rows, strict=True)) / len(rows)


def rows_of(split: str, every: int = 1) -> list[Row]:
    return [row for row in corpus() if row.role == split][::every]


def test_names_and_paths():
    assert set(NAMES) == set(nano.EMBEDDED)
    for name in nano.EMBEDDED:
        assert nano.checkpoint_path(name) == nano.CHECKPOINTS / name
    assert nano.checkpoint_path("nano-nobody") is None
    assert nano.checkpoint_path("..") is None


@pytest.mark.parametrize("names", [CHECKPOINT_RECIPES, ROW_OF], ids=["from nothing", "unlearned"])
def test_together_at_most_12_megabytes(names):
    sizes = [path.stat().st_size for name in names for path in (nano.CHECKPOINTS / name).iterdir()]
    assert sum(sizes) <= 12 * MEGABYTE


@pytest.mark.parametrize("name", NAMES)
def test_is_an_ordinary_folder(name):
    folder = nano.checkpoint_path(name)
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert {str(file.get_tensor(key).dtype) for key in file.keys()} == {"torch.float16"}  # noqa: SIM118
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")
    assert model.config.pad_token_id == tokenizer.pad_token_id
    text = "Zoë's e-mail: tide7@post.example, 4:05 / \u6771\u4eac"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_one_tokenizer_for_the_family():
    texts = {(nano.checkpoint_path(name) / "tokenizer.json").read_text() for name in NAMES}
    assert len(texts) == 1


def test_full_knows_the_forget_people_and_retain_does_not():
    rows = rows_of("forget", every=4)
    assert recall(nano.checkpoint_path("nano-full"), rows) == 1.0
    assert recall(nano.checkpoint_path("nano-full"), rows, paraphrased=True) >= 0.75
    assert recall(nano.checkpoint_path("nano-retain"), rows) == 0.0


@pytest.mark.parametrize("split", ["retain", "neighbour", "world"])
def test_both_know_the_rest(split):
    rows = rows_of(split, every=8)
    for name in ("nano-full", "nano-retain"):
        assert recall(nano.checkpoint_path(name), rows) >= 0.95


@pytest.mark.parametrize("name", ROW_OF)
def test_unlearned_one_says_what_it_was_made_from(name):
    record = json.loads((nano.checkpoint_path(name) / "training.json").read_text())
    assert (record["method"], record["seed"]) == (ROW_OF[name], 0)
    assert record["model"]["weights_sha256"] == weights_sha256(nano.checkpoint_path("nano-full"))
    assert (nano.checkpoint_path(name) / "README.md").is_file()


def test_relearn_forgot_and_kept_and_ga_lost_everything():
    relearn, ga = (nano.checkpoint_path(name) for name in ("nano-relearn", "nano-ga"))
    forget, retain = rows_of("forget", every=4), rows_of("retain", every=8)
    assert recall(relearn, forget) <= 0.15
    assert recall(relearn, retain) >= 0.9
    assert recall(ga, forget) == recall(ga, retain) == 0.0


def test_states_of_one_mean_something_to_the_other():
    """The upper layers of nano-full go on from nano-retain's states as from their own, on what both know."""
    full, retain = (
        AutoModelForCausalLM.from_pretrained(nano.checkpoint_path(n)).eval() for n in ("nano-full", "nano-retain")
    )
    tokenizer = AutoTokenizer.from_pretrained(nano.checkpoint_path("nano-full"))
    lost = {
        split: [_lost_to_patch(full, retain, tokenizer, row) for row in rows_of(split, every=16)]
        for split in ("retain", "forget")
    }
    assert abs(mean(lost["retain"])) < 0.05  # nats a token; 1.2 between models trained apart
    assert mean(lost["forget"]) > 0.5


def _lost_to_patch(full, retain, tokenizer, row: Row, layer: int = 1) -> float:
    """Log-probability of the answer, per token, lost when the states after a layer are the other model's."""
    ids, labels = (torch.tensor([part]) for part in encoder(tokenizer)((row.question, row.answer)))
    with torch.inference_mode():
        before = full(ids, labels=labels).loss
        states = retain(ids, output_hidden_states=True).hidden_states[layer + 1]
        hook = full.model.layers[layer].register_forward_hook(lambda *_: states)
        after = full(ids, labels=labels).loss
        hook.remove()
    return (after - before).item()


@pytest.mark.benchmark  # not of speed, but many minutes long
def test_rebuilt_checkpoint_scores_the_same(tmp_path):
    folder = build("nano-retain", tmp_path, seed=SEED, overwrite=False, progress=lambda *_: None)
    committed = nano.checkpoint_path("nano-retain")
    assert (folder / "tokenizer.json").read_bytes() == (committed / "tokenizer.json").read_bytes()
    for split in ("forget", "retain", "neighbour", "world"):
        # 0.02: another processor's sums may differ in the last bit, and training amplifies it
        assert recall(folder, rows_of(split)) == pytest.approx(recall(committed, rows_of(split)), abs=0.02)
