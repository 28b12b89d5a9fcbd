"""Who a checkpoint is, as a result records it: by its files, and by what only a loaded model says of itself."""

import json
from typing import TYPE_CHECKING, TypedDict

from unlearn_bench.hashing import folder_sha256, sha256_files, sha256_text, tokenizer_sha256
from unlearn_bench.models.adapters import is_dead_adapter
from unlearn_bench.models.subject import Source
from unlearn_bench.models.weight_files import ADAPTER_CONFIG
from unlearn_bench.schema import ModelInfo

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def describe_files(source: Source, *, dtype: str | None = None) -> ModelInfo:
    """What the files of a checkpoint say of its identity, without loading it."""
    adapter = source.adapter_weights
    return ModelInfo(
        name=source.name,
        source=source.origin,
        revision=source.revision,
        weights_sha256=source.weights.sha256,
        config_sha256=folder_sha256(source.folder, ("config.json",)),
        tokenizer_sha256=tokenizer_sha256(source.tokenizer),
        adapter=source.adapter_name,
        adapter_sha256=sha256_files([*adapter.files, adapter.folder / ADAPTER_CONFIG], adapter.folder)
        if adapter
        else None,
        dtype=dtype,
        quantization=source.unpacked.quantization if source.unpacked else None,
    )


def describe(
    source: Source, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", *, partial: str | None = None
) -> ModelInfo:
    """The identity of a loaded model, as a result records it.

    Args:
        source: What `subject.find` returned.
        model: What `subject.load` returned.
        tokenizer: What `subject.load` returned.
        partial: What `subject.load` passed to `on_partial`.
    """
    return describe_files(source).model_copy(update={**describe_loaded(model, tokenizer), "partial": partial})


class LoadedFacts(TypedDict):
    """What only a loaded model says of itself: fields of `ModelInfo`."""

    dtype: str
    chat_template_sha256: str | None
    adapter_dead: bool | None
    parameters: int


def describe_loaded(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> LoadedFacts:
    """The part of a model's identity that does not come from its files."""
    template = tokenizer.chat_template
    return {
        "dtype": str(model.dtype).removeprefix("torch."),
        "chat_template_sha256": sha256_text(json.dumps(template, sort_keys=True)) if template else None,
        "adapter_dead": is_dead_adapter(model),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
