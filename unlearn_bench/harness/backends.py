"""Who generates: the checkpoint in this process (hf), vLLM, or a chat server (api); each as lm-eval sees a model."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.models import in_memory, subject
from unlearn_bench.models.devices import choose_device
from unlearn_bench.schema import ModelInfo
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from unlearn_bench.harness.run import RunSpec

# What lm-eval's model classes call in --model-args, and we by an option of its own.
OWN_OPTIONS = {
    "pretrained": "--model",
    "peft": "--adapter",
    "lora_local_path": "--adapter",
    "tokenizer": "--tokenizer",
    "revision": "--revision",
    "dtype": "--dtype",
    "torch_dtype": "--dtype",
    "device": "--device",
    "batch_size": "--batch-size",
    "trust_remote_code": "--trust-remote-code",
    "max_gen_toks": "--max-gen-toks",
    "seed": "--seed",
    "enable_thinking": "--thinking",
    "think_end_token": "--thinking",
}


def load_model(spec: "RunSpec") -> tuple["LM", ModelInfo]:
    """Load the judged model behind the chosen backend, and say what it is."""
    if spec.backend != "api":
        _check_model_args(spec)
    if spec.backend == "hf":
        return _load_hf(spec)
    load = {"vllm": _load_vllm, "api": _load_api}[spec.backend]
    try:
        return load(spec)
    except (ImportError, ModuleNotFoundError) as error:
        raise UserError(
            f"--backend {spec.backend}: {error}", hint=f"pip install 'unlearn-bench[{spec.backend}]'"
        ) from None


def _check_model_args(spec: "RunSpec") -> None:
    """Refuse settings that have an option of their own: given twice, one of them would be ignored."""
    for name in spec.model_args:
        if name in OWN_OPTIONS:
            raise UserError(f"--model-args {name}=…: this has an option of its own", hint=f"use {OWN_OPTIONS[name]}")


def _find(spec: "RunSpec") -> subject.Source:
    source = subject.find(
        spec.model,
        adapter=spec.adapter,
        revision=spec.revision,
        allow_pickle=spec.allow_pickle,
        trust_remote_code=spec.trust_remote_code,
    )
    if spec.revision is not None and source.origin != "hub":
        raise UserError(f"--revision is for a model of the hub, and {source.name} is {source.origin}")
    return source if spec.tokenizer is None else replace(source, tokenizer=_tokenizer_folder(spec.tokenizer))


def _tokenizer_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise UserError(f"--tokenizer {name}: no such folder", hint="pass the folder that holds its tokenizer.json")
    return folder


def _load_api(spec: "RunSpec") -> tuple["LM", ModelInfo]:
    if spec.adapter:
        raise UserError("--adapter: a server chooses its own adapters", hint="use --backend hf or vllm")
    if spec.thinking != "model":
        raise UserError("--thinking: a server has its own chat template", hint="start the server with that setting")
    from unlearn_bench.harness import api_model as lm_api

    lm = lm_api.load(spec.model, spec.model_args, seed=spec.seed, kept=spec.chunks)
    return lm, ModelInfo(name=spec.model, source="api")


def _refuse_for_vllm(source: subject.Source) -> None:
    """Refuse what vLLM would load beside the hashed files: it takes every safetensors file of a folder."""
    loaded = {path.resolve() for path in source.weights.files}
    extra = sorted(path.name for path in source.folder.glob("*.safetensors") if path.resolve() not in loaded)
    if extra and not source.weights.pickled:
        raise UserError(
            f"model {source.name}: vLLM would also load {extra[0]}, which is no part of the checkpoint",
            hint="move it out of the folder, or use --backend hf",
        )


def _load_vllm(spec: "RunSpec") -> tuple["LM", ModelInfo]:
    """Through lm-eval's own class; the folder's files say who the model is."""
    from lm_eval.models.vllm_causallms import VLLM

    source = _find(spec)
    _refuse_for_vllm(source)
    arguments = {"pretrained": str(source.folder), "dtype": spec.dtype, "trust_remote_code": spec.trust_remote_code}
    arguments["tokenizer"] = str(source.tokenizer)
    if source.adapter:
        arguments["lora_local_path"] = str(source.adapter)
    lm = VLLM(**{**arguments, "batch_size": spec.batch_size, "seed": spec.seed, **spec.model_args})
    lm.prompts = _prompts(spec, lm.tokenizer)
    if lm.prompts.template is not None:
        lm.apply_chat_template = lm.prompts.template
    return lm, subject.describe_files(source, dtype=spec.dtype)


def _prompts(spec: "RunSpec", tokenizer: "PreTrainedTokenizerBase") -> Prompts:
    return Prompts(tokenizer, spec.prompt, thinking=spec.thinking, date=spec.template_date)


def _load_hf(spec: "RunSpec") -> tuple["LM", ModelInfo]:
    import torch

    from unlearn_bench.harness.hf_model import UnlearnLM

    own_gpu = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # each process of torchrun takes its own
    device = choose_device(spec.device or (own_gpu if torch.cuda.is_available() else None))
    source = _find(spec)
    partial: list[str] = []
    model, tokenizer = subject.load(
        source,
        dtype=spec.dtype,
        device=device,
        trust_remote_code=spec.trust_remote_code,
        on_partial=partial.append if spec.allow_partial else None,
        uses_template=spec.prompt in subject.TEMPLATE_STYLES,
        **spec.model_args,
    )
    info = subject.describe(source, model, tokenizer, partial="; ".join(partial) or None)
    return UnlearnLM(model, tokenizer, prompts=_prompts(spec, tokenizer), batch_size=spec.batch_size), info


def load_in_memory(
    spec: "RunSpec", model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase"
) -> tuple["LM", ModelInfo]:
    """A model that is in memory already, under the name `spec.model`; the tokenizer stays as it is.

    Raises:
        UserError: if it cannot be asked, or `spec` has settings that only a checkpoint reads.
    """
    from unlearn_bench.harness.hf_model import UnlearnLM

    for name, default in _OF_A_CHECKPOINT.items():
        if (given := getattr(spec, name)) != default:
            raise UserError(f"{name}={given!r} is for a checkpoint, and this model is in memory", hint="leave it out")
    info = in_memory.describe(model, tokenizer, name=spec.model)
    own = in_memory.own_tokenizer(tokenizer, uses_template=spec.prompt in subject.TEMPLATE_STYLES)
    return UnlearnLM(model, own, prompts=_prompts(spec, own), batch_size=spec.batch_size), info


_OF_A_CHECKPOINT = {
    "backend": "hf",
    "adapter": None,
    "revision": None,
    "tokenizer": None,
    "device": None,
    "dtype": "auto",
    "model_args": {},
    "allow_partial": False,
}
