"""Tiny random models of every named architecture, and a word-level tokenizer without any file."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from unlearn_bench.schema import Row

PLACES = ("Norvik", "Elmstad", "Quorrin", "Tessaly", "Brannock", "Ostrava", "Lindholm", "Varga")
NAMES = ("Ada Quill", "Bram Osker", "Cleo Vant", "Dov Marrow", "Edda Finch", "Falk Irons", "Greta Sund", "Hugo Pell")
WORDS = [*{w for text in (*PLACES, *NAMES) for w in text.split()}]
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", *sorted(WORDS), *"Question Answer : . ? Where was born in".split()]  # noqa: SIM905

COMMON = {
    "vocab_size": len(VOCABULARY) + 5,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,  # wide enough that every part matters
    "tie_word_embeddings": False,
}
GROUPED = {"num_key_value_heads": 2}
ARCHITECTURES = {
    "llama": GROUPED,
    "qwen2": GROUPED,
    "gemma2": {
        **GROUPED,
        "head_dim": 12,
        "query_pre_attn_scalar": 12,
        "attn_logit_softcapping": 2.0,  # low, so that capping bites in a random model
        "final_logit_softcapping": 3.0,
        "sliding_window": 6,
    },
    "phi3": GROUPED,
    "gpt_neox": {"use_parallel_residual": True},
    "olmo2": GROUPED,
}


def build(architecture: str, *, seed: int = 0, **changes: object) -> torch.nn.Module:
    options = {**COMMON, **ARCHITECTURES[architecture], **changes}
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **options)).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norm weights and biases start at 1 and 0, which would hide mistakes
            torch.nn.init.normal_(parameter, mean=parameter.data.mean().item(), std=0.2)
        assert torch.isfinite(parameter).all(), name
    return model


@pytest.fixture(params=[*ARCHITECTURES, "gpt_neox_sequential"])
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(architecture: str) -> torch.nn.Module:
    if architecture == "gpt_neox_sequential":
        return build("gpt_neox", use_parallel_residual=False)
    return build(architecture)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return [
        Row(
            id=f"f{i}",
            split="forget",
            question=f"Where was {name} born?",
            answer=f"{name} was born in {place}.",
            cluster=name,
        )
        for i, (name, place) in enumerate(zip(NAMES, PLACES, strict=True))
    ]
