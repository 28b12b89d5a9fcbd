"""Who answers: the checkpoint in this process (hf), vLLM, or a server (api); each as lm-eval sees a model.

Every backend declares what it can do (`Capabilities`); no other module compares backends by name.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench import redact, tokens
from unlearn_bench.errors import UserError
from unlearn_bench.harness.spec import PromptSettings, RunSpec
from unlearn_bench.hashing import tokenizer_sha256
from unlearn_bench.models import identity, in_memory, subject
from unlearn_bench.models.devices import choose_device
from unlearn_bench.models.loading import load_tokenizer
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import ModelInfo, PromptInfo
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Names in --model-args of lm-eval's model classes for which there are separate options.
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

_ENDPOINTS = ("chat", "completions")
_COMPLETIONS = "--model-args endpoint=completions"


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do.

    Attributes:
        template: Its chat template can be read, chosen and left out; otherwise the backend always applies its own.
        weights: The weights can be hashed, so that the result says which model answered.
        hidden_states: The model's hidden states can be read.
        likelihood: It gives the log-probabilities of a text that is given, token by token.
        gradients: It computes gradients with respect to the weights.
        keeps_answers: It stores the answers it receives itself, and draws sampled ones with its own seeds.
    """

    template: bool = True
    weights: bool = True
    hidden_states: bool = False
    likelihood: bool = False
    gradients: bool = False
    keeps_answers: bool = False


CAPABILITIES = {
    "hf": Capabilities(hidden_states=True, likelihood=True, gradients=True),
    "vllm": Capabilities(likelihood=True),
    "api": Capabilities(template=False, weights=False, keeps_answers=True),
}


@dataclass(frozen=True)
class JudgedModel:
    """The judged model, loaded.

    Attributes:
        lm: As lm-eval sees it.
        info: Who it is.
        can: What its backend can do.
        prompts: How it is asked; None where the backend has its own template.
    """

    lm: "LM"
    info: ModelInfo
    can: Capabilities
    prompts: Prompts | None = None

    @property
    def template(self) -> Callable[..., str] | None:
        """Turns a conversation into a prompt; None where no template is used."""
        return self.lm.apply_chat_template if self.prompts is None else self.prompts.template

    def prompts_for(self, settings: PromptSettings) -> Prompts:
        """How questions are asked under a task's settings, which may name another style than the run's."""
        if self.prompts is None or self.prompts.style == settings.prompt:
            return self.prompts
        thinking = settings.thinking if settings.prompt in tokens.TEMPLATE_STYLES else "model"
        return Prompts(self.lm.tokenizer, settings.prompt, thinking=thinking, date=settings.template_date)

    def prompt_info(self, settings: PromptSettings) -> PromptInfo:
        """What a result records of the prompts."""
        if self.prompts is None:
            text, chat = "the server's own", None
        else:
            chat = self.prompts.template if settings.prompt in tokens.TEMPLATE_STYLES else None
            text = None if chat is None else str(self.lm.tokenizer.chat_template)
        return tokens.info(
            settings.prompt, text, first_answer=settings.first_answer, answer_end=settings.answer_end, chat=chat
        )


def load_model(spec: RunSpec) -> JudgedModel:
    """Load the judged model behind the chosen backend, and say what it is.

    Raises:
        UserError: if it cannot be loaded, or the backend cannot do what is asked.
    """
    can = CAPABILITIES[spec.backend]
    if can.weights:
        _check_model_args(spec)
    load = {"hf": _load_hf, "vllm": _load_vllm, "api": _load_api}[spec.backend]
    try:
        return load(spec, can)
    except ImportError as error:
        if spec.backend == "hf":
            raise
        raise UserError(
            f"--backend {spec.backend}: {error}", hint=f"pip install 'unlearn-bench[{spec.backend}]'"
        ) from None


def load_in_memory(spec: RunSpec, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> JudgedModel:
    """A model that is in memory already, under the name `spec.model`; the tokenizer stays as it is.

    Raises:
        UserError: if it cannot be asked, or `spec` has settings that only a checkpoint reads.
    """
    from unlearn_bench.harness.hf_model import UnlearnLM

    for name, default in _OF_A_CHECKPOINT.items():
        if (given := getattr(spec, name)) != default:
            raise UserError(f"{name}={given!r} is for a checkpoint, and this model is in memory", hint="leave it out")
    info = in_memory.describe(model, tokenizer, name=spec.model)
    own = in_memory.own_tokenizer(tokenizer, uses_template=spec.prompts.prompt in tokens.TEMPLATE_STYLES)
    prompts = _prompts(spec.prompts, own)
    return JudgedModel(
        UnlearnLM(model, own, prompts=prompts, batch_size=spec.batch_size), info, CAPABILITIES["hf"], prompts
    )


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


def in_training(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings, *, batch_size: int
) -> JudgedModel:
    """A model in training, which this process asks alone; it is not identified."""
    from unlearn_bench.harness.hf_model import UnlearnLM

    prompts = _prompts(settings, tokenizer)
    lm = UnlearnLM(model, tokenizer, prompts=prompts, batch_size=batch_size, alone=True)
    return JudgedModel(lm, ModelInfo(name="model", source="training"), CAPABILITIES["hf"], prompts)


def _check_model_args(spec: RunSpec) -> None:
    """Refuse settings that have an option of their own: given twice, one of them would be ignored."""
    for name in spec.model_args:
        if name in OWN_OPTIONS:
            raise UserError(f"--model-args {name}=…: this has a separate option", hint=f"use {OWN_OPTIONS[name]}")


def _find(spec: RunSpec) -> subject.Source:
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


def _load_api(spec: RunSpec, can: Capabilities) -> JudgedModel:
    if redact.looks_secret(spec.model):
        raise UserError(
            "--model: this looks like a password or a key, and a result keeps the model's name",
            hint="name the model as the server calls it; the address is --model-args base_url=…",
        )
    if spec.adapter:
        raise UserError("--adapter: a server chooses its own adapters", hint="use --backend hf or vllm")
    if spec.prompts.thinking != "model" and spec.model_args.get("endpoint", "chat") == "chat":
        raise UserError("--thinking: a server has its own chat template", hint="start the server with that setting")
    from unlearn_bench.harness import api_model, completions_model

    arguments = dict(spec.model_args)
    endpoint = arguments.pop("endpoint", "chat")
    if endpoint not in _ENDPOINTS:
        raise did_you_mean("endpoint", str(endpoint), _ENDPOINTS)
    if endpoint == "chat":
        if spec.tokenizer is not None:
            raise UserError("--tokenizer: a chat server has its own", hint=f"leave it out, or add {_COMPLETIONS}")
        lm = api_model.load(spec.model, arguments, seed=spec.seed, kept=spec.chunks)
        return JudgedModel(lm, ModelInfo(name=spec.model, source="api"), can)
    if spec.tokenizer is None:
        raise UserError(f"{_COMPLETIONS}: which tokens do the texts have?", hint="pass --tokenizer FOLDER, the model's")
    folder = _tokenizer_folder(spec.tokenizer)
    tokenizer = load_tokenizer(folder, str(folder), trust_remote_code=spec.trust_remote_code)
    if spec.prompts.prompt in tokens.TEMPLATE_STYLES:
        subject.check_prompts(tokenizer, str(folder))
    prompts = _prompts(spec.prompts, tokenizer)
    lm = completions_model.load(spec.model, arguments, prompts, seed=spec.seed, kept=spec.chunks)
    info = ModelInfo(name=spec.model, source="api", tokenizer_sha256=tokenizer_sha256(folder))
    return JudgedModel(lm, info, replace(can, template=True, likelihood=True), prompts)


def _refuse_for_vllm(source: subject.Source) -> None:
    """Refuse files that vLLM would load in addition to the hashed ones: it takes every safetensors file of a folder."""
    loaded = {path.resolve() for path in source.weights.files}
    extra = sorted(path.name for path in source.folder.glob("*.safetensors") if path.resolve() not in loaded)
    if extra and not source.weights.pickled:
        raise UserError(
            f"model {source.name}: vLLM would also load {extra[0]}, which is not part of the checkpoint",
            hint="move it out of the folder, or use --backend hf",
        )


def _load_vllm(spec: RunSpec, can: Capabilities) -> JudgedModel:
    """Through lm-eval's own class; the folder's files say who the model is."""
    from unlearn_bench.harness.vllm_model import UnlearnVLLM

    source = _find(spec)
    _refuse_for_vllm(source)
    arguments: dict[str, Any] = {
        "pretrained": str(source.folder),
        "dtype": spec.dtype,
        "trust_remote_code": spec.trust_remote_code,
        "tokenizer": str(source.tokenizer),
        "batch_size": spec.batch_size,
        "seed": spec.seed,
    }
    if source.adapter:
        arguments["lora_local_path"] = str(source.adapter)
    lm = UnlearnVLLM(**{**arguments, **spec.model_args})
    info = identity.describe_files(source, dtype=spec.dtype)
    return JudgedModel(lm, info, can, _prompts(spec.prompts, lm.tokenizer))


def _prompts(settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase") -> Prompts:
    return Prompts(tokenizer, settings.prompt, thinking=settings.thinking, date=settings.template_date)


def _load_hf(spec: RunSpec, can: Capabilities) -> JudgedModel:
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
        uses_template=spec.prompts.prompt in tokens.TEMPLATE_STYLES,
        **spec.model_args,
    )
    info = identity.describe(source, model, tokenizer, partial="; ".join(partial) or None)
    prompts = _prompts(spec.prompts, tokenizer)
    lm = UnlearnLM(model, tokenizer, prompts=prompts, batch_size=spec.batch_size)
    return JudgedModel(lm, info, can, prompts)
