"""The judged model: found, checked and loaded; safetensors before pickle, no remote code unless asked for.

A model is named by an embedded name (`nano-full`), a folder, or a hub id. A hub model is first brought to a local
folder, so that every checkpoint has the same kind of identity: the hash of its tensor files.
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import nano
from unlearn_bench.errors import UserError
from unlearn_bench.fingerprint import folder_sha256, sha256_text, tokenizer_sha256, weights_sha256
from unlearn_bench.schema import ModelInfo

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "tokenizer*")
PICKLE_FILES = ("*.bin", "*.pt", "*.pth")
DTYPES = ("auto", "float32", "bfloat16", "float16")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies.

    Attributes:
        name: As the user gave it; a folder by its last part only, since a result must not hold paths of a machine.
        origin: "embedded", "folder" or "hub".
        adapter: Folder of a PEFT adapter to be applied, if any.
    """

    name: str
    origin: str
    folder: Path
    revision: str | None = None
    adapter: Path | None = None


def find(
    name: str,
    *,
    adapter: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Source:
    """Find a checkpoint and refuse what would be unsafe or cannot work, before anything is loaded.

    Raises:
        UserError: if there is no such model, its folder is no checkpoint, it is pickled, or it wants to run its own
        code.
    """
    source = _locate(name, revision, allow_pickle)
    if adapter is None and not (source.folder / "config.json").exists():
        source = _adapter_as_model(source, allow_pickle)
    if adapter is not None:
        source = replace(source, adapter=_locate(adapter, None, allow_pickle).folder)
    _check(source, allow_pickle, trust_remote_code)
    return source


def _locate(name: str, revision: str | None, allow_pickle: bool) -> Source:
    embedded = nano.checkpoint_path(name)
    if embedded is not None:
        return Source(name, "embedded", embedded)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Source(folder.resolve().name, "folder", folder)
    if folder.exists():
        raise UserError(f"model {name}: expected a folder, got a file")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        names = ", ".join(nano.EMBEDDED)
        raise UserError(
            f"model {name}: no such folder, embedded model or hub id",
            hint=f"embedded models: {names}; a hub id looks like organisation/name",
        )
    return _download(name, revision, allow_pickle)


def _download(name: str, revision: str | None, allow_pickle: bool) -> Source:
    from huggingface_hub import snapshot_download

    patterns = [*HUB_FILES, *(PICKLE_FILES if allow_pickle else ())]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises many unrelated classes; each means: not to be had
        raise UserError(
            f"model {name} could not be had from the hub: {type(error).__name__}",
            hint="check the name and the connection, or pass a local folder",
        ) from None
    return Source(name, "hub", folder, revision=folder.name)


def _adapter_as_model(source: Source, allow_pickle: bool) -> Source:
    """A folder that holds an adapter only: its base model is named in it."""
    config = source.folder / "adapter_config.json"
    if not config.exists():
        return source
    base = _read_json(config).get("base_model_name_or_path")
    if not base:
        raise UserError(
            f"model {source.name}: an adapter that names no base model", hint="pass --model BASE --adapter PATH"
        )
    found = _locate(str(base), None, allow_pickle)
    return replace(found, adapter=source.folder)


def _check(source: Source, allow_pickle: bool, trust_remote_code: bool) -> None:
    for folder, config_name in ((source.folder, "config.json"), (source.adapter, "adapter_config.json")):
        if folder is None:
            continue
        if not (folder / config_name).exists():
            found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
            raise UserError(
                f"{folder.name}: no {config_name} in the folder (found: {found})", hint="is it a checkpoint?"
            )
        safe = any(folder.glob("*.safetensors"))
        pickled = any(p for pattern in PICKLE_FILES for p in folder.glob(pattern))
        if not safe and pickled and not allow_pickle:
            raise UserError(
                f"{folder.name}: weights are pickled; loading them can run any code",
                hint="convert them to safetensors, or pass --allow-pickle if you trust their author",
            )
        if not safe and not pickled:
            raise UserError(f"{folder.name}: no weights in the folder", hint="expected *.safetensors")
    if "auto_map" in _read_json(source.folder / "config.json") and not trust_remote_code:
        raise UserError(
            f"{source.name}: the checkpoint wants to run its own code",
            hint="pass --trust-remote-code if you have read it and trust its author",
        )


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object")
    return value


def load(
    source: Source,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    trust_remote_code: bool = False,
    **model_args: object,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load the model (in evaluation mode, its adapter applied) and its tokenizer (with a pad token, padding left).

    Args:
        source: What `find` returned.
        dtype: One of `DTYPES`; "auto" takes the checkpoint's own, but float32 on a CPU.
        device: Where to; unless `device_map` or a quantization decides.
        trust_remote_code: Run code that comes with the checkpoint.
        model_args: Further arguments of `from_pretrained` (attn_implementation, device_map, load_in_4bit, …).

    Raises:
        UserError: if transformers cannot make a causal language model of the folder, or there is no tokenizer.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    if dtype == "auto" and device == "cpu":
        dtype = "float32"  # half precision on a CPU is slower and answers change with the batch
    arguments = {"dtype": dtype, "trust_remote_code": trust_remote_code, **_quantization(model_args)}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=trust_remote_code, padding_side="left"
        )
        model = AutoModelForCausalLM.from_pretrained(source.folder, **arguments)
        if source.adapter is not None:
            model = _with_adapter(model, source.adapter)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise UserError(f"model {source.name}: transformers cannot load it: {_first_line(error)}") from error
    if "device_map" not in arguments and "quantization_config" not in arguments:
        model.to(device)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return model.eval(), tokenizer


def load_subject(
    name: str,
    *,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """`find` and `load` in one call, for those who need no identity."""
    source = find(
        name, adapter=adapter, revision=revision, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )
    return load(source, dtype=dtype, device=device, trust_remote_code=trust_remote_code)


def _quantization(model_args: dict[str, object]) -> dict[str, object]:
    """Pack what transformers 5 takes only inside a quantization config: `load_in_4bit`, `load_in_8bit`, …"""
    arguments = dict(model_args)
    bits = {k: arguments.pop(k) for k in list(arguments) if k.startswith(("load_in_", "bnb_4bit_"))}
    if bits:
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(**bits)
    return arguments


def _with_adapter(model: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def is_dead_adapter(model: "PreTrainedModel") -> bool | None:
    """Whether an adapter changes nothing: its update is zero in every layer (a known silent failure of LoRA training).

    Returns:
        None if the model has no adapter, or one of a kind whose update cannot be read.
    """
    layers = [m for m in model.modules() if hasattr(m, "get_delta_weight") and hasattr(m, "active_adapters")]
    if not layers:
        return None
    if any(getattr(m, "modules_to_save", None) for m in model.modules()):
        return None
    return all(not m.get_delta_weight(name).any() for m in layers for name in m.active_adapters)


def describe_files(source: Source, *, dtype: str | None = None) -> ModelInfo:
    """What the files of a checkpoint say of its identity, without loading it."""
    adapter_files = ("*.safetensors", *PICKLE_FILES, "adapter_config.json")
    return ModelInfo(
        name=source.name,
        source=source.origin,
        revision=source.revision,
        weights_sha256=weights_sha256(source.folder),
        config_sha256=folder_sha256(source.folder, ("config.json",)),
        tokenizer_sha256=tokenizer_sha256(source.folder),
        adapter=source.adapter.resolve().name if source.adapter else None,
        adapter_sha256=folder_sha256(source.adapter, adapter_files) if source.adapter else None,
        dtype=dtype,
    )


def describe(source: Source, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> ModelInfo:
    """The identity of a loaded model, as a result records it."""
    template = tokenizer.chat_template
    return describe_files(source, dtype=str(model.dtype).removeprefix("torch.")).model_copy(
        update={
            "chat_template_sha256": sha256_text(json.dumps(template, sort_keys=True)) if template else None,
            "adapter_dead": is_dead_adapter(model),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
    )
