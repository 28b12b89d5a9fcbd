"""Tiny random models of every supported architecture, made on the spot."""

from pathlib import Path

ARCHITECTURES = ("llama", "qwen2", "gemma2", "phi3", "gpt_neox", "olmo2")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORDS = (
    "who what where when was born in the city of a an is to his her name and works as author wrote Ada Lima Oslo ? . ,"
)


def tiny_config(architecture: str, vocab_size: int = 64, **changes: object) -> "PretrainedConfig":  # noqa: F821
    """A configuration of a few thousand parameters."""
    from transformers import CONFIG_MAPPING

    settings = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if architecture != "gpt_neox":
        settings["num_key_value_heads"] = 2
    if architecture == "gemma2":
        settings |= {"head_dim": 8, "sliding_window": 16}
    if architecture == "phi3":
        settings |= {"sliding_window": 64}
    return CONFIG_MAPPING[architecture](**{**settings, **changes})


def tiny_model(architecture: str = "llama", *, seed: int = 0, **changes: object) -> "PreTrainedModel":  # noqa: F821
    """A random model whose greedy answers vary: weights are larger than at a usual initialisation."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(architecture, **changes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4.0)
    return model


def tiny_tokenizer(*, chat: bool = True) -> "PreTrainedTokenizerFast":  # noqa: F821
    """A word tokenizer of at most 64 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *dict.fromkeys(WORDS.split())])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.add_special_tokens({"additional_special_tokens": special[4:]})
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def save_tiny(
    folder: Path, architecture: str = "llama", *, chat: bool = True, seed: int = 0, **changes: object
) -> Path:
    """Save a tiny checkpoint as an ordinary Hugging Face folder."""
    tiny_model(architecture, seed=seed, **changes).save_pretrained(folder)
    tiny_tokenizer(chat=chat).save_pretrained(folder)
    return folder
