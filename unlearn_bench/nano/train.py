"""Train an embedded checkpoint from nothing and write it as an ordinary Hugging Face folder.

Cross entropy over the answer's tokens and the end-of-turn token; AdamW, linear warm-up, cosine to zero. Weights are
rounded to float16, which is how they are stored, before anything is measured; the configuration says float32, so that
every loader computes with the same numbers in the same precision.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.nano.corpus import SEED
from unlearn_bench.nano.recipe import BOS, CHAT_TEMPLATE, CHECKPOINT_RECIPES, END, PAD, SPECIAL_TOKENS, Recipe
from unlearn_bench.nano.training_text import Pair, epoch
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

Progress = Callable[[int, int, float], None]
Encoded = tuple[list[int], list[int]]  # token ids, and labels that are IGNORED up to the answer
Batch = list[Encoded]
THREADS = 1  # sums depend on how they are split: the same number on every machine
IGNORED = -100


def train(
    name: str, *, seed: int = SEED, recipe: Recipe | None = None, progress: Progress | None = None
) -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """Train the model `name`.

    Args:
        name: Decides the text (see `training_text`) and the recipe.
        seed: Of the initial weights and of the order of the text. The corpus itself is always the committed one.
        recipe: Instead of the one in `CHECKPOINT_RECIPES`.
        progress: Called after each step with (step, steps, loss).

    Returns:
        The model, in float32 with weights that float16 can hold, and its tokenizer.
    """
    import torch

    recipe = recipe or CHECKPOINT_RECIPES[name]
    with reproducible():
        tokenizer = build_tokenizer(name, recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_model(recipe, tokenizer)
            _fit(model, _encoded(name, recipe, tokenizer, seed), recipe, progress)
    return _halved(model), tokenizer


def teach(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    epochs: Sequence[Sequence[Pair]],
    recipe: Recipe,
    *,
    progress: Progress | None = None,
) -> "PreTrainedModel":
    """Go on training a model, in place, with the schedule of a recipe over the given epochs.

    Args:
        model: A Llama in float32, or one with an adapter; its trainable weights are trained.
        tokenizer: Its tokenizer; questions are asked through its chat template.
        epochs: Question-answer pairs of each epoch, in training order.
        recipe: Its learning rate, batch size, warm-up and decay count; its network and its epochs do not.
        progress: Called after each step with (step, steps, loss).

    Returns:
        The model, with trained weights that float16 can hold.
    """
    encode = encoder(tokenizer)
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    with reproducible():
        batches = [_batches([encode(pair) for pair in pairs], recipe.batch_size) for pairs in epochs]
        _fit(plain, batches, recipe, progress)
    return _halved(model)


@contextmanager
def reproducible() -> Iterator[None]:
    """One thread and deterministic sums, and what was before at the end."""
    import torch

    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def _halved(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model in evaluation mode, its trainable weights rounded to what float16 holds."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():  # buffers keep their precision: loaders recompute them
            if weight.requires_grad:
                weight.copy_(weight.half())
    return model.eval()


def build_tokenizer(name: str, recipe: Recipe) -> "PreTrainedTokenizerFast":
    """Learn a byte-level BPE from the text of nano-full and nano-base: one tokenizer for the whole family."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [
        text
        for source in CHECKPOINT_RECIPES
        for i in range(recipe.tokenizer_epochs)
        for pair in epoch(source, i)
        for text in pair
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        model_max_length=recipe.positions,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def build_model(recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> "LlamaForCausalLM":
    """A Llama with random weights from torch's current seed."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            intermediate_size=recipe.intermediate,
            max_position_embeddings=recipe.positions,
            attention_dropout=recipe.dropout,
            tie_word_embeddings=True,
            dtype="float32",
            **ids,
        )
    )
    model.generation_config = GenerationConfig(do_sample=False, **ids)
    return model


def save(model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Write an ordinary Hugging Face folder with float16 tensors."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _settle(folder / "tokenizer_config.json")
    tied = "lm_head.weight"
    tensors = {key: value.to(torch.float16).contiguous() for key, value in model.state_dict().items() if key != tied}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _settle(path: Path) -> None:
    """Let the same tokenizer have the same configuration, whoever wrote it."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for loading in ("is_local", "local_files_only"):  # transformers 5 adds how the tokenizer was loaded
        config.pop(loading, None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # transformers 5 writes one that transformers 4 has not
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def encoder(tokenizer: "PreTrainedTokenizerBase") -> Callable[[Pair], Encoded]:
    """What turns a pair into token ids, asked through the tokenizer's chat template, and labels of its answer."""
    prompts = Prompts(tokenizer)

    def encode(pair: Pair) -> Encoded:
        question, answer = pair
        ids, start, _ = prompts.encode(prompts.prompt(question), answer)
        return ids, [IGNORED] * start + ids[start:]

    return encode


def _encoded(name: str, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", seed: int) -> list[list[Batch]]:
    """Batches of each epoch; a batch has texts of about one length, and the order of batches is random."""
    first = (seed - SEED) * 1000  # another seed sees other people, phrasings and orders of the same corpus
    encode = encoder(tokenizer)
    text = [recipe.trunk if number < recipe.trunk_epochs else name for number in range(recipe.epochs)]
    return [
        _batches([encode(pair) for pair in epoch(source, first + number)], recipe.batch_size)
        for number, source in enumerate(text)
    ]


def _batches(texts: list[Encoded], size: int) -> list[Batch]:
    window = 8 * size
    batches = []
    for start in range(0, len(texts), window):
        chunk = sorted(texts[start : start + window], key=lambda text: len(text[0]))
        batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    return [batches[i] for i in sorted(range(len(batches)), key=lambda i: (i * 7919) % max(1, len(batches)))]


def _fit(model: "LlamaForCausalLM", epochs: list[list[Batch]], recipe: Recipe, progress: Progress | None) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    # by epochs, not steps, so that models of one trunk have one schedule whatever text follows
    passed = [number + i / len(batches) for number, batches in enumerate(epochs) for i in range(len(batches))]
    warmup, total = recipe.warmup_share * len(epochs), len(epochs)
    model.train()
    for step, batch in enumerate(batch for batches in epochs for batch in batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _rate(passed[step], warmup, total)
        loss = _loss(model, batch, recipe.label_smoothing)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if progress is not None:
            progress(step + 1, len(passed), loss.item())


def _rate(passed: float, warmup: float, total: float) -> float:
    """Share of the learning rate after `passed` of `total` epochs: up from a tenth, then half a cosine to zero."""
    if passed < warmup:
        return 0.1 + 0.9 * passed / warmup
    return 0.5 * (1 + math.cos(math.pi * (passed - warmup) / (total - warmup)))


def _loss(model: "LlamaForCausalLM", batch: Batch, smoothing: float) -> "torch.Tensor":
    """Mean cross entropy of the answers' tokens; logits are computed at their positions only."""
    import torch
    from torch.nn.functional import cross_entropy

    width = max(len(ids) for ids, _ in batch)
    pad = model.config.pad_token_id
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in batch])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
    hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
    targets = labels[:, 1:]
    asked = targets != IGNORED
    return cross_entropy(model.lm_head(hidden[:, :-1][asked]), targets[asked], label_smoothing=smoothing)


def shortened(name: str, epochs: int) -> Recipe:
    """The recipe of `name` with fewer epochs, for tests."""
    recipe = CHECKPOINT_RECIPES[name]
    return replace(recipe, epochs=epochs, trunk_epochs=min(recipe.trunk_epochs, epochs // 2))
