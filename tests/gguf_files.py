"""Tiny GGUF files, written as llama.cpp's converter writes them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.tiny import CHAT_TEMPLATE, tiny_model

SPECIAL = ["<|endoftext|>", "<s>", "</s>"]
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def vocabulary() -> list[str]:
    """Three special tokens, one for each byte as GPT-2 writes bytes, and one merge."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*SPECIAL, *bytes_to_unicode().values(), "ab"]


def tiny_for_gguf(**changes: object) -> "PreTrainedModel":  # noqa: F821
    """A tiny Llama for that vocabulary."""
    return tiny_model("llama", vocab_size=len(vocabulary()), tie_word_embeddings=False, **changes)


def write_gguf(
    path: Path,
    model: "PreTrainedModel | None" = None,  # noqa: F821
    *,
    kind: str = "F32",
    architecture: str = "llama",
    chat: bool = True,
    left_out: Iterable[str] = (),
) -> Path:
    """Write a Llama as a GGUF file.

    Args:
        path: The file.
        model: What `tiny_for_gguf` returned.
        kind: Type of the matrices: F32, F16 or Q8_0.
        architecture: What the file says it is.
        chat: Whether it has a chat template.
        left_out: Tensors, as GGUF names them, that are not written.
    """
    import gguf

    model = model or tiny_for_gguf()
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{kind}" if kind != "F32" else "ALL_F32"))
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary())
    writer.add_token_types([3] * len(SPECIAL) + [1] * (config.vocab_size - len(SPECIAL)))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    if chat:
        writer.add_chat_template(CHAT_TEMPLATE)
    for name, tensor in model.state_dict().items():
        target = _gguf_name(name)
        if target not in left_out:
            _add(writer, target, tensor.numpy(), kind, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{_NAMES[part]}.weight"
    return f"{_NAMES[stem]}.weight"


def _add(writer: object, name: str, values: np.ndarray, kind: str, config: object) -> None:
    import gguf

    for part, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
        if part in name:  # llama.cpp pairs the halves of a head in another order
            rows = values.shape[0] // heads // 2
            values = values.reshape(heads, 2, rows, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
    if kind == "F32" or values.ndim == 1:
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    else:
        wanted = gguf.GGMLQuantizationType[kind]
        packed = gguf.quants.quantize(np.ascontiguousarray(values), wanted)
        writer.add_tensor(name, packed, raw_dtype=wanted)
