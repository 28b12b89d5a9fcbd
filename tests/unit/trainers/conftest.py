"""A tiny random Llama, a word tokenizer made on the spot, and rows of invented facts."""

import json
from pathlib import Path

import pytest
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
        max_position_embeddings=64,
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


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of 7 forget rows and 5 retain rows: odd numbers, so that the last step is not full."""
    folder = tmp_path_factory.mktemp("rows")
    written = {}
    for name, rows in (("forget", make_rows(NAMES[:7], 0)), ("retain", make_rows(NAMES[7:], 3))):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        written[name] = str(path)
    return written
