"""A model that is in memory already: who it is, and how it is lent to an evaluation and given back as it was.

Its weights are identified by the hash of its tensors (`tensors_sha256`), since no file is known: the same weights
have another hash here than their files have. Configuration and tokenizer are hashed as `save_pretrained` writes them.
"""

import copy
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import folder_sha256, sha256_json, tokenizer_sha256
from unlearn_bench.models import subject
from unlearn_bench.models.identity import describe_loaded
from unlearn_bench.models.loading import check_tokenizer
from unlearn_bench.schema import ModelInfo

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SOURCE = "in memory"


@contextmanager
def borrowed(model: "PreTrainedModel") -> Iterator[None]:
    """Give back the training mode of every module and the generation settings as they were.

    An evaluation sets evaluation mode and its own generation settings; weights are never changed.
    """
    modes = {module: module.training for module in model.modules()}
    holders = [model, model.base_model] if hasattr(model, "peft_config") else [model]
    settings = [(holder, holder.generation_config) for holder in holders if hasattr(holder, "generation_config")]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for holder, config in settings:
            holder.generation_config = config


def own_tokenizer(tokenizer: "PreTrainedTokenizerBase", *, uses_template: bool) -> "PreTrainedTokenizerBase":
    """A copy of the tokenizer with a pad token and padding on the left; the caller's stays as it is.

    Args:
        tokenizer: As its owner uses it.
        uses_template: Whether prompts will go through its chat template, which is then tried.

    Raises:
        UserError: if it makes no tokens of a text, or its chat template cannot be used.
    """
    own = copy.deepcopy(tokenizer)
    own.padding_side = "left"
    check_tokenizer(own, "the model in memory")
    if uses_template:
        subject.check_prompts(own, "the model in memory")
    return own


def name_of(model: "PreTrainedModel") -> str:
    """The last part of the name that a model was loaded by, else its class."""
    return Path(getattr(getattr(model, "config", None), "name_or_path", "")).name or type(model).__name__


def describe(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", *, name: str | None = None) -> ModelInfo:
    """The identity of a model in memory, as a result records it.

    Args:
        model: A causal language model, with or without a PEFT adapter.
        tokenizer: Its tokenizer.
        name: What the result calls it; `name_of(model)` if left out.

    Raises:
        UserError: if it is no causal language model, or some of its weights are not in memory.
    """
    _check_model(model)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        tokenizer.save_pretrained(folder)
        model.config.save_pretrained(folder)
        config, tokens = folder_sha256(folder, ("config.json",)), tokenizer_sha256(folder)
    return ModelInfo(
        name=name or name_of(model),
        source=SOURCE,
        weights_sha256=tensors_sha256(model.state_dict()),
        config_sha256=config,
        tokenizer_sha256=tokens,
        **describe_loaded(model, tokenizer),
    )


def _check_model(model: "PreTrainedModel") -> None:
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "save_pretrained"):
        raise UserError(
            f"expected a model of transformers, got {type(model).__name__}",
            hint="pass a PreTrainedModel or a PeftModel, or the name or folder of a checkpoint",
        )
    can_generate = getattr(model, "can_generate", lambda: False)
    if config.is_encoder_decoder or not can_generate():
        raise UserError(f"{type(model).__name__} is no causal language model", hint="load it with AutoModelForCausalLM")


def tensors_sha256(tensors: "Mapping[str, Tensor]") -> str:
    """Hash over tensors: name, dtype, shape and SHA-256 of the bytes of each, sorted by name, as canonical JSON.

    Neither the device nor the order nor the memory layout counts. Each tensor is copied to the CPU, one at a time.

    Raises:
        UserError: if a tensor has no data (device "meta": it was never loaded, or is kept on a disk).
    """
    listing = []
    for name, tensor in sorted(tensors.items()):
        if tensor.is_meta:
            raise UserError(f"the weights {name} are not in memory", hint="load the model without offloading")
        dtype = str(tensor.dtype).removeprefix("torch.")
        listing.append([name, dtype, list(tensor.shape), hashlib.sha256(_bytes(tensor)).hexdigest()])
    return sha256_json(listing)


def _bytes(tensor: "Tensor") -> memoryview:
    import torch

    flat = tensor.detach().to("cpu").contiguous().flatten()
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
