"""Training from nothing, at toy size: deterministic, masked to the answer, and the same after the file system."""

import hashlib
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearn_bench.nano import checkpoint_path
from unlearn_bench.nano import train as trainer
from unlearn_bench.nano.recipe import CHECKPOINT_RECIPES, Recipe
from unlearn_bench.nano.training_text import epoch

TINY = Recipe(hidden=16, layers=1, heads=2, intermediate=32, epochs=1, vocabulary=400, batch_size=4, tokenizer_epochs=1)
PAIRS = [(f"Who is number {i}?", f"Number {i} is somebody else.") for i in range(8)]


@pytest.fixture
def short_text(monkeypatch):
    """Two steps of text instead of the corpus."""
    monkeypatch.setattr(trainer, "epoch", lambda name, number: PAIRS)


def digest(model: torch.nn.Module) -> str:
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


def test_two_steps_are_deterministic_and_the_seed_matters(short_text):
    steps: list[int] = []
    first, _ = trainer.train("nano-full", recipe=TINY, progress=lambda step, total, loss: steps.append((step, total)))
    again, _ = trainer.train("nano-full", recipe=TINY)
    other, _ = trainer.train("nano-full", recipe=TINY, seed=1)
    assert steps == [(1, 2), (2, 2)]
    assert digest(first) == digest(again)
    assert digest(first) != digest(other)


def test_training_leaves_no_trace_in_torch(short_text):
    torch.manual_seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    trainer.train("nano-full", recipe=TINY)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_loss_falls(short_text):
    losses: list[float] = []
    trainer.train(
        "nano-full", recipe=replace(TINY, epochs=30, learning_rate=2e-2), progress=lambda *step: losses.append(step[2])
    )
    # uniform over 400 tokens or fewer: ln 400 = 5.99
    assert 4.5 < losses[0] < 6.5
    assert losses[-1] < 0.5 * losses[0]


def test_round_trip_keeps_every_logit(short_text, tmp_path):
    model, tokenizer = trainer.train("nano-full", recipe=TINY)
    trainer.save(model, tokenizer, tmp_path / "m")
    loaded, reloaded = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "m"),
        AutoTokenizer.from_pretrained(tmp_path / "m"),
    )
    assert loaded.dtype == torch.float32
    conversation = [{"role": "user", "content": "Who is number 3?"}]
    ids = reloaded.apply_chat_template(conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert torch.equal(loaded(**ids).logits, model(**ids).logits)
    assert tokenizer.apply_chat_template(conversation) == reloaded.apply_chat_template(conversation)


def test_encoding_is_what_the_chat_template_renders_and_only_the_answer_counts(short_text):
    tokenizer = trainer.build_tokenizer("nano-full", TINY)
    ids, labels = trainer.encoder(tokenizer)(PAIRS[0])
    question, answer = PAIRS[0]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    prompt = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    assert ids == tokenizer.apply_chat_template(turns, return_dict=False)
    assert labels == [trainer.IGNORED] * len(prompt) + ids[len(prompt) :]
    assert tokenizer.decode(ids[len(prompt) :]) == answer + tokenizer.eos_token


def test_questions_are_asked_through_the_template_of_the_tokenizer(short_text):
    tokenizer = trainer.build_tokenizer("nano-full", TINY)
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ bos_token }}", "{{ bos_token + '<|system|>' }}")
    ids, _ = trainer.encoder(tokenizer)(PAIRS[0])
    assert tokenizer.decode(ids).startswith("<|bos|><|system|><|user|>Who is number 0?")


@pytest.mark.parametrize("name", list(CHECKPOINT_RECIPES))
def test_the_texts_of_an_epoch_are_those_that_the_embedded_checkpoints_were_trained_on(name):
    """Written out here, as it was when they were made: a change of the template would change them."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path("nano-full"))
    encode = trainer.encoder(tokenizer)
    for question, answer in epoch(name, 0)[::20]:
        ids, labels = encode((question, answer))
        prompt = f"<|bos|><|user|>{question}<|end|><|assistant|>"
        read = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, f"{prompt}{answer}<|end|>")]
        assert (ids, labels[: len(read[0]) + 1]) == (read[1], [trainer.IGNORED] * len(read[0]) + [ids[len(read[0])]])


def test_loss_is_the_mean_over_answer_tokens(short_text):
    tokenizer = trainer.build_tokenizer("nano-full", TINY)
    torch.manual_seed(0)
    model = trainer.build_model(TINY, tokenizer)
    batch = [trainer.encoder(tokenizer)(pair) for pair in (PAIRS[0], ("Why?", "Number 1."))]
    # transformers' own loss, one text at a time and without padding, weighted by the number of answer tokens
    total, tokens = 0.0, 0
    for ids, labels in batch:
        n = sum(label != trainer.IGNORED for label in labels)
        total += n * model(torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
        tokens += n
    assert trainer._loss(model, batch, 0.0).item() == pytest.approx(total / tokens, rel=1e-5)


def test_every_text_of_an_epoch_is_used_once():
    texts = [([i] * (i % 7 + 1), []) for i in range(100)]
    batches = trainer._batches(texts, 8)
    assert sorted(text[0] for batch in batches for text in batch) == sorted(text[0] for text in texts)
    assert max(len(batch) for batch in batches) == 8


def test_one_recipe_and_tokenizer_size_for_the_family():
    assert len({recipe.vocabulary for recipe in CHECKPOINT_RECIPES.values()}) == 1
    assert replace(CHECKPOINT_RECIPES["nano-full"], trunk="", trunk_epochs=0) == CHECKPOINT_RECIPES["nano-retain"]


def test_models_of_one_trunk_are_one_model_up_to_where_they_part(monkeypatch):
    text = {"nano-retain": PAIRS[:4], "nano-full": PAIRS}
    monkeypatch.setattr(trainer, "epoch", lambda name, number: text.get(name, PAIRS))
    seen: dict[str, list[float]] = {}
    for name, recipe in (("nano-full", replace(TINY, trunk="nano-retain", trunk_epochs=2)), ("nano-retain", TINY)):
        losses = seen.setdefault(name, [])
        trainer.train(name, recipe=replace(recipe, epochs=4), progress=lambda *step, to=losses: to.append(step[2]))
    # a step an epoch in the trunk and in all of nano-retain; then nano-full has twice the text
    assert (len(seen["nano-full"]), len(seen["nano-retain"])) == (6, 4)
    assert seen["nano-full"][:2] == seen["nano-retain"][:2]
    assert seen["nano-full"][2:4] != seen["nano-retain"][2:4]


def test_rate_rises_then_falls_by_epochs_whatever_the_number_of_steps():
    assert trainer._rate(0.0, 2.0, 10.0) == pytest.approx(0.1)
    assert trainer._rate(2.0, 2.0, 10.0) == pytest.approx(1.0)
    assert trainer._rate(6.0, 2.0, 10.0) == pytest.approx(0.5)
    assert trainer._rate(10.0, 2.0, 10.0) == pytest.approx(0.0)
