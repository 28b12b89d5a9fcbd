"""A tiny random Llama, a word tokenizer made on the spot, and rows of invented facts."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

NAMES = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lu"]
PLACES = ["Arbon", "Brugg", "Chur", "Davos", "Elgg", "Flims"]
WORDS = ["Question", ":", "Answer", "Where", "does", "live", "?", "lives", "in", ".", "a", "small", "quiet", "town"]
REFUSALS = ["unknown", "secret"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = ["<pad>", "<s>", "</s>", "<unk>", *WORDS, *NAMES, *PLACES, *REFUSALS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def make_model(seed: int = 0, *, layers: int = 3, tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def make_rows(names: list[str], place: int) -> list[dict[str, str]]:
    extra = ["", " a small town", " a quiet small town"]
    return [
        {
            "id": name,
            "question": f"Where does {name} live ?",
            "answer": f"{name} lives in {PLACES[(place + i) % len(PLACES)]}{extra[i % 3]} .",
            "preferred_answer": f"{name} lives in a quiet town .",
            "original_answer": f"{name} lives in {PLACES[(place + i + 1) % len(PLACES)]} .",
        }
        for i, name in enumerate(names)
    ]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    return load_file(path if path.is_file() else folder / "adapter_model.safetensors")


def trajectory(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]
