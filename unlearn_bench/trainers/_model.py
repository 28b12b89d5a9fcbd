"""The model to be changed: loaded, given an adapter or a choice of trained parameters, remembered and put back."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from unlearn_bench.errors import UserError
from unlearn_bench.models import subject
from unlearn_bench.models.adapters import merge_adapter
from unlearn_bench.tokens import TEMPLATE_STYLES
from unlearn_bench.trainers.config import TrainConfig
from unlearn_bench.trainers.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_model(
    config: TrainConfig,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase", subject.Source, str | None]:
    """Load the model that is to unlearn; an adapter it comes with is merged into it first.

    Returns:
        Model, tokenizer, where they lie, and which tensors did not fit the model (`allow_partial`).
    """
    source = subject.find(
        config.model,
        adapter=config.adapter,
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
    )
    partial: list[str] = []
    model, tokenizer = subject.load(
        source,
        dtype=_dtype(config),
        device="cpu",
        trust_remote_code=config.trust_remote_code,
        on_partial=partial.append if config.allow_partial else None,
        uses_template=config.prompt in TEMPLATE_STYLES,
    )
    if source.adapter is not None:
        model = merge_adapter(model, f"adapter {source.adapter_name}")
    return model, tokenizer, source, "; ".join(partial) or None


def save_merged_base(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: TrainConfig, source: subject.Source
) -> str:
    """Write the model with its adapter merged: the base that a new adapter is trained on, and without which it is lost.

    Returns:
        Name of the folder inside the output.
    """
    name = f"{Path(source.name).name}+{source.adapter_name}"
    folder = Path(config.output, name)
    if os.environ.get("RANK", "0") == "0":
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    model.config._name_or_path = str(folder)  # where peft looks for the base, and which every checkpoint names
    return name


def _dtype(config: TrainConfig) -> str:
    """Weights that are trained stay in float32; a frozen base under an adapter may be bfloat16."""
    if config.lora is None or config.dtype == "float32" or not torch.cuda.is_available():
        return "float32"
    return "bfloat16"


def choose_trained(model: "PreTrainedModel", config: TrainConfig, method: Method) -> "PreTrainedModel":
    """Put an adapter on the model, or freeze what is not to be trained.

    Raises:
        UserError: if `trainable` matches no parameter.
    """
    check_layer(model, method)
    if config.lora is not None:
        return with_lora(model, config)
    patterns = config.trainable or method.trainable
    if patterns:
        chosen = [n for n, _ in model.named_parameters() if any(re.search(p, n) for p in patterns)]
        if not chosen:
            raise UserError(f"no parameter's name matches {', '.join(patterns)}", hint="set --trainable REGEX")
        model.requires_grad_(False)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in set(chosen))
    if config.gradient_checkpointing and patterns:
        model.enable_input_require_grads()
    return model


def check_layer(model: "PreTrainedModel", method: Method) -> None:
    """Refuse a layer that the model does not have, before anything is made of it.

    Raises:
        UserError: naming the layers there are.
    """
    last = model.config.get_text_config().num_hidden_layers - 1
    if method.layer is not None and not 0 <= method.layer <= last:
        raise UserError(
            f"layer {method.layer}: the model has layers 0 to {last}",
            hint=" ".join(f"--set {term.name}.layer=N" for term in method.terms if "layer" in term.options),
        )


def with_lora(model: "PreTrainedModel", config: TrainConfig) -> "PreTrainedModel":
    """Put a fresh adapter on the model, drawn by the run's seed."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=linear_names(model),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        peft_model = get_peft_model(model, settings)
    if config.gradient_checkpointing:
        peft_model.enable_input_require_grads()
    return peft_model


def linear_names(model: nn.Module) -> list[str]:
    """Last names of all linear layers but the output head."""
    head = model.get_output_embeddings()
    kinds = (nn.Linear, *_conv1d())
    names = {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, kinds) and m is not head}
    if getattr(getattr(model, "config", None), "model_type", None) in _MAMBA:
        names -= {"out_proj"}  # its weight is read by a fused kernel, past any adapter; PEFT refuses it
    if not names:
        raise UserError("the model has no linear layers to put an adapter on")
    return sorted(names)


def _conv1d() -> tuple[type, ...]:
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    return (Conv1D,)


_MAMBA = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")  # as PEFT lists them


class Snapshot:
    """The trained parameters at one moment, on disk: for procedures that go back to them.

    Args:
        path: A safetensors file; removed by `remembered`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, model: nn.Module) -> None:
        """Save the parameters that are trained."""
        from safetensors.torch import save_file

        tensors = {n: p.detach().cpu().clone() for n, p in model.named_parameters() if p.requires_grad}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, self.path)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Name and value, one after the other, so that only one is in memory at a time."""
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Put the saved values back."""
        parameters = dict(model.named_parameters())
        for name, value in self.tensors():
            parameters[name].copy_(value)


@contextmanager
def remembered(model: nn.Module, folder: Path, *, main: bool = True, wait: object = None) -> Iterator[Snapshot]:
    """A snapshot of the model as it is now, deleted at the end; `main` writes it, the others `wait()` for it."""
    snapshot = Snapshot(folder / "start.safetensors")
    if main:
        snapshot.write(model)
    if callable(wait):
        wait()
    try:
        yield snapshot
    finally:
        if main:
            snapshot.path.unlink(missing_ok=True)


def write_base_name(folder: Path, source: subject.Source, merged: str | None) -> None:
    """Let a saved adapter name its base; during training it names the folder, which peft wants to look into.

    A model known by name or of the hub is named as it was given, another by the whole path of its folder or GGUF file.

    Args:
        folder: The output.
        source: The model that was trained.
        merged: The folder that `save_merged_base` wrote, if it did.
    """
    path = folder / "adapter_config.json"
    if path.is_file():
        settings = json.loads(path.read_text(encoding="utf-8"))
        base = folder / merged if merged else source.path
        named = merged is None and source.origin not in ("folder", "file")
        settings["base_model_name_or_path"] = source.name if named else str(base.resolve())
        settings["revision"] = source.revision if named else None
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
