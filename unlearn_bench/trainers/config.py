"""The settings of a training run, their defaults, and the presets with the papers' hyper-parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unlearn_bench.chat_template import DATE, read_date
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean

if TYPE_CHECKING:
    from transformers import TrainingArguments

PRESETS_FILE = Path(__file__).with_name("presets.json")


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter on all linear layers but the output head (the papers' choice)."""

    r: int = 8
    alpha: int = 16
    dropout: float = 0.1

    @classmethod
    def read(cls, text: str | Mapping[str, float]) -> "Lora":
        """Read "r=8,alpha=16,dropout=0.1"; what is left out keeps its default.

        Raises:
            UserError: for an unknown key or a value that is not a number.
        """
        values = dict(text) if not isinstance(text, str) else _pairs(text)
        types = {"r": int, "alpha": int, "dropout": float}
        for key in values:
            if key not in types:
                raise did_you_mean("LoRA setting", key, types)
        try:
            read = cls(**{key: types[key](value) for key, value in values.items()})
        except ValueError:
            raise UserError(f"--lora {text}: expected numbers", hint="example: --lora r=8,alpha=16") from None
        if read.r < 1 or read.alpha < 1 or not 0 <= read.dropout < 1:
            raise UserError(f"--lora {text}: r and alpha are at least 1, dropout is in [0, 1)")
        return read


def _pairs(text: str) -> dict[str, str]:
    pairs = dict(piece.split("=", 1) for piece in text.split(",") if "=" in piece)
    if len(pairs) != len([piece for piece in text.split(",") if piece]):
        raise UserError(f"--lora {text}: expected key=value pairs", hint="example: --lora r=8,alpha=16")
    return {key.strip(): value.strip() for key, value in pairs.items()}


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
        forget, retain: Files or DATASET:SPLIT, several are joined.
        options: Term or step name to its options.
        lora: None for full fine-tuning.
        batch_size: Forget rows (each with a retain row) per process and micro-batch.
        accumulate: Micro-batches of an optimizer step.
        max_steps: Ends before `epochs` do; None for no such limit.
        warmup: Share of the steps over which the learning rate rises.
        warmup_epochs: The same in epochs, as the papers' code says it; excludes `warmup`.
        raw: Learn the answers of forget rows that nothing marks as replacements.
        data_revision: The hub's commit of the datasets; None for the pinned one.
        prompt: Prompt style, as in evaluation.
        thinking: Switch of a chat template, as in evaluation.
        template_date: What chat templates that write a date write, as in evaluation.
        reference_from: Where log-probabilities before unlearning come from: adapter (switched off), stored (computed
            once), copy (a second model), or auto: the first that the run allows of these.
        dtype: What is computed in; the trained weights stay float32. auto: bfloat16 where the device has it.
        trainable: Regular expressions of parameter names; all others stay frozen. Empty for all.
        save_every: Optimizer steps between checkpoints; None for one an epoch.
        eval_every: Optimizer steps between points of the forget-retain curve; None for no curve.
    """

    model: str
    method: str
    output: str
    forget: tuple[str, ...] = ()
    retain: tuple[str, ...] = ()
    data_dir: str | None = None
    data_revision: str | None = None
    adapter: str | None = None
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    lora: Lora | None = None
    epochs: float = 5.0
    max_steps: int | None = None
    learning_rate: float = 1e-5
    batch_size: int = 4
    accumulate: int = 1
    weight_decay: float = 0.0
    warmup: float = 0.0
    warmup_epochs: float = 0.0
    scheduler: str = "linear"
    max_grad_norm: float = 1.0
    max_length: int = 512
    prompt: str = "auto"
    thinking: Literal["model", "on", "off"] = "model"
    template_date: str = DATE
    refusals: str | None = None
    reference_from: str = "auto"
    trainable: tuple[str, ...] = ()
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = 0
    group_by_length: bool = True
    on_divergence: Literal["stop", "continue"] = "stop"
    max_loss: float = 1e4
    save_every: int | None = None
    keep_checkpoints: bool = False
    eval_every: int | None = None
    report_to: str = "none"
    resume: bool = False
    overwrite: bool = False
    preset: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    raw: bool = False
    allow_partial: bool = False

    @property
    def identity(self) -> dict[str, object]:
        """What must be equal for a run to be resumed: all but what it prints and scores, and what it keeps."""
        loose = {"resume", "overwrite", "report_to", "keep_checkpoints", "on_divergence", "data_dir", "output"}
        loose |= {"save_every", "eval_every", "raw"}
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in loose}


def _plain(value: object) -> object:
    if isinstance(value, Lora):
        return {"r": value.r, "alpha": value.alpha, "dropout": value.dropout}
    if isinstance(value, tuple):
        return list(value)
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def presets() -> dict[str, dict[str, dict]]:
    """Preset name to method to settings; "*" holds what all methods share."""
    return json.loads(PRESETS_FILE.read_text(encoding="utf-8"))


def preset_settings(name: str, method: str) -> dict[str, object]:
    """A preset's settings for a method: those of "*", then those of its first term, then those of its whole name.

    Raises:
        UserError: for an unknown preset.
    """
    known = presets()
    if name not in known:
        raise did_you_mean("preset", name, known)
    settings: dict[str, object] = {}
    for key in ("*", *dict.fromkeys([method.split("+")[0].split("*")[-1].strip(), method])):
        settings |= {k: v for k, v in known[name].get(key, {}).items() if k != "source"}
    if isinstance(settings.get("lora"), Mapping):
        settings["lora"] = Lora.read(settings["lora"])
    return settings


def build(given: Mapping[str, object]) -> TrainConfig:
    """A configuration from what the user gave, over the preset's settings, over the defaults.

    Raises:
        UserError: if a required setting is missing or a value makes no sense.
    """
    preset = given.get("preset")
    settings = preset_settings(str(preset), str(given.get("method", ""))) if preset else {}
    # None is "not given", but for the adapter, where it is full fine-tuning.
    merged = settings | {key: value for key, value in given.items() if value is not None or key == "lora"}
    for one, other in (("warmup", "warmup_epochs"), ("warmup_epochs", "warmup")):
        if given.get(one) is not None and given.get(other) is None:
            merged.pop(other, None)  # what the preset says in the other unit
    if preset and isinstance(settings.get("options"), Mapping):
        ours, theirs = settings["options"], given.get("options") or {}
        merged["options"] = {k: {**ours.get(k, {}), **theirs.get(k, {})} for k in {**ours, **theirs}}
    for name in ("model", "method", "output"):
        if not merged.get(name):
            raise UserError(f"--{name} is required")
    config = replace(TrainConfig(model="", method="", output=""), **merged)
    config = replace(config, template_date=read_date(config.template_date))
    if config.dtype == "float16":
        raise UserError("--dtype float16 cannot be trained", hint="take --dtype bfloat16 or float32")
    _check(config, given)
    return config


def _check(config: TrainConfig, given: Mapping[str, object]) -> None:
    positive = ("epochs", "learning_rate", "batch_size", "accumulate", "max_length", "max_loss")
    for name in positive:
        if not getattr(config, name) > 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0, got {getattr(config, name)}")
    for name in ("weight_decay", "max_grad_norm", "seed"):
        if not getattr(config, name) >= 0:
            raise UserError(f"--{name.replace('_', '-')} must be at least 0, got {getattr(config, name)}")
    for name in ("max_steps", "save_every", "eval_every"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not 0 <= config.warmup < 1:
        raise UserError(f"--warmup is a share of the steps in [0, 1), got {config.warmup}")
    if config.warmup and config.warmup_epochs:
        raise UserError("--warmup and --warmup-epochs exclude each other")
    if not 0 <= config.warmup_epochs <= config.epochs:
        raise UserError(f"--warmup-epochs is between 0 and --epochs {config.epochs:g}, got {config.warmup_epochs}")
    if config.method == "merge" and config.lora is None and "lora" in given:
        raise UserError("merge merges two adapters, and --lora none trains none", hint="leave out --lora none")
    if config.resume and config.overwrite:
        raise UserError("--resume and --overwrite exclude each other")


def training_arguments(config: TrainConfig, *, partial_graph: bool = False) -> "TrainingArguments":
    """The arguments of transformers for a configuration.

    Args:
        config: The run.
        partial_graph: Some trained parameters get no gradient (losses on a middle layer); DDP must look for them.
    """
    import torch
    from transformers import TrainingArguments

    cuda = torch.cuda.is_available()
    bf16 = config.dtype == "bfloat16" or (config.dtype == "auto" and cuda and torch.cuda.is_bf16_supported())
    known = {f.name for f in fields(TrainingArguments)}
    checkpointing = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
    # transformers 5 takes the share in warmup_steps and has deprecated warmup_ratio.
    warmup = "warmup_ratio" if "warmup_ratio" in known and not _is_v5() else "warmup_steps"
    return TrainingArguments(
        output_dir=config.output,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.scheduler,
        max_grad_norm=config.max_grad_norm,
        bf16=bf16,
        use_cpu=not cuda,
        dataloader_pin_memory=cuda,
        seed=config.seed,
        save_strategy="steps" if config.save_every else "epoch",
        save_steps=config.save_every or 500,
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=config.report_to,
        ddp_find_unused_parameters=partial_graph,
        **{warmup: config.warmup},
        **(checkpointing if config.gradient_checkpointing else {}),
    )


def _is_v5() -> bool:
    import transformers

    return int(transformers.__version__.split(".")[0]) >= 5
