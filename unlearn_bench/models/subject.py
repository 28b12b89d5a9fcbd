"""The judged model: found, checked and loaded; safetensors before pickle, no remote code unless asked for.

A model is named by an embedded or packaged name (`nano-full`, `smollm2-135m`), a folder, a GGUF file, or a hub id. All
become a local folder first, so that every checkpoint has the same kind of identity: the hash of the weight files that
are loaded; of a GGUF file, its own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import nano, smol
from unlearn_bench.errors import UserError
from unlearn_bench.models import weight_files
from unlearn_bench.models._adapter import apply_adapter, record_ties
from unlearn_bench.models._json import read_json
from unlearn_bench.models._plausible import require_config
from unlearn_bench.models._template import check_template
from unlearn_bench.models.gguf import Unpacked
from unlearn_bench.models.loading import guarded, load_model, load_tokenizer, read_config
from unlearn_bench.models.locate import Located, checked_weights, locate
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.models.weight_files import ADAPTER_CONFIG, WeightFiles, find_weights, is_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("auto", "float32", "bfloat16", "float16")
GENERATION_CONFIG = "generation_config.json"
NO_ADAPTER = "none"
_TEMPLATE_HINT = (
    "correct chat_template.jinja or tokenizer_config.json, or choose a prompt style without a template (qa)"
)
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies.

    Attributes:
        name: As `Located` has it.
        origin: As `Located` has it.
        weights: The files that are loaded.
        adapter: Folder of a PEFT adapter to be applied, if any.
        adapter_weights: Its files.
        tokenizer: Folder of the tokenizer: the adapter's where it has one, since it may have been trained with more
            tokens.
        unpacked: The GGUF file that the folder was unpacked from.
    """

    name: str
    origin: str
    folder: Path
    weights: WeightFiles
    tokenizer: Path
    revision: str | None = None
    adapter: Path | None = None
    adapter_weights: WeightFiles | None = None
    unpacked: Unpacked | None = None

    @property
    def adapter_name(self) -> str | None:
        """The last part of the adapter's path."""
        return self.adapter.resolve().name if self.adapter else None

    @property
    def path(self) -> Path:
        """What to name where the checkpoint is to be found again on this machine: its GGUF file or its folder."""
        return self.unpacked.path if self.unpacked else self.folder


def find(
    name: str,
    *,
    adapter: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Source:
    """Find a checkpoint and refuse what would be unsafe or cannot work, before anything is loaded.

    Args:
        name: An embedded or packaged name, a folder of a checkpoint or of an adapter that names its base, a GGUF file,
            or a hub id.
        adapter: Folder or hub id of an adapter; "none" leaves one out that lies in the checkpoint's own folder.
        revision: Commit or branch of a hub model.
        allow_pickle: Accept pickled weights where there is no safetensors file.
        trust_remote_code: Run the Python code that comes with a checkpoint.

    Raises:
        UserError: if the model does not exist, is not a checkpoint, is pickled, or needs to run its own
        code.
    """
    safety = {"allow_pickle": allow_pickle, "trust_remote_code": trust_remote_code}
    base = _locate(name, revision, **safety)
    folder = None if adapter in (None, NO_ADAPTER) else _locate(adapter, None, **safety).folder
    if _is_adapter_only(base.folder) and folder is None and adapter != NO_ADAPTER:
        base, folder = _base_of(base, **safety), base.folder
    if folder is not None:
        require_config(folder, ADAPTER_CONFIG, f"adapter {folder.resolve().name}")
    if (base.folder / GENERATION_CONFIG).is_file():
        read_json(base.folder / GENERATION_CONFIG)  # transformers ignores a broken one, and with it the end tokens
    if adapter is None and folder is None and (base.folder / ADAPTER_CONFIG).is_file():
        raise UserError(
            f"model {base.name}: its folder holds a whole checkpoint and an adapter",
            hint=f"pass --adapter {name} to apply the adapter, or --adapter none to leave it out",
        )
    weights = checked_weights(base, what=f"model {base.name}", **safety)
    return _source(base, weights, folder, allow_pickle)


def _source(base: Located, weights: WeightFiles, adapter: Path | None, allow_pickle: bool) -> Source:
    found = Source(
        base.name,
        base.origin,
        base.folder,
        weights,
        tokenizer=base.folder,
        revision=base.revision,
        unpacked=base.unpacked,
    )
    if adapter is None:
        return found
    what = f"adapter {adapter.resolve().name}"
    own = (adapter / "tokenizer_config.json").is_file() and any((adapter / v).is_file() for v in _VOCABULARIES)
    return replace(
        found,
        adapter=adapter,
        adapter_weights=find_weights(adapter, what=what, names=weight_files.ADAPTER, allow_pickle=allow_pickle),
        tokenizer=adapter if own else base.folder,
    )


def _locate(name: str, revision: str | None, **safety: bool) -> Located:
    hint = (
        f"embedded models: {', '.join(nano.EMBEDDED + smol.EMBEDDED)}; in a package: {SMOLLM2}; "
        "a hub id looks like organisation/name"
    )
    return locate(name, what=f"model {name}", hint=hint, revision=revision, **safety)


def _is_adapter_only(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole checkpoint; some programs copy the base's config.json there."""
    return (folder / ADAPTER_CONFIG).is_file() and not (is_whole(folder) and (folder / "config.json").is_file())


def _base_of(adapter: Located, **safety: bool) -> Located:
    """The base model that an adapter names."""
    settings = read_json(adapter.folder / ADAPTER_CONFIG)
    base = settings.get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise UserError(
            f"model {adapter.name}: an adapter that names no base model", hint="pass --model BASE --adapter PATH"
        )
    beside = adapter.folder / Path(base).name  # `train` puts a merged base there; the folder may have been moved
    if not Path(base).is_dir() and (beside / "config.json").is_file():
        return _locate(str(beside), None, **safety)
    revision = settings.get("revision")
    return _locate(base, revision if isinstance(revision, str) and not Path(base).is_dir() else None, **safety)


def is_quantized(source: Source) -> bool:
    """Whether a checkpoint's own settings say that its weights are packed (bitsandbytes, GPTQ, AWQ, …)."""
    return bool(read_json(source.folder / "config.json").get("quantization_config"))


def load(
    source: Source,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    trust_remote_code: bool = False,
    on_partial: Callable[[str], None] | None = None,
    uses_template: bool = True,
    **model_args: object,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load the model (in evaluation mode, its adapter applied) and its tokenizer (with a pad token, padding left).

    Args:
        source: What `find` returned.
        dtype: One of `DTYPES`; "auto" takes the checkpoint's own, but float32 on a CPU.
        device: Where to; unless `device_map` or a quantization decides.
        trust_remote_code: Run code that comes with the checkpoint.
        on_partial: Called with the tensors that do not fit the model; without it, they are an error.
        uses_template: Whether prompts will go through the chat template, which is then tried.
        model_args: Further arguments of `from_pretrained` (attn_implementation, device_map, load_in_4bit, …).

    Raises:
        UserError: if transformers cannot make a causal language model of the folder, its weights are not all there, or
            there is no usable tokenizer or chat template.
    """
    from transformers import AutoModelForCausalLM

    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    if dtype == "auto" and device == "cpu":
        dtype = "float32"  # half precision on a CPU is slower and answers change with the batch
    what = f"model {source.name}"
    arguments = _quantization(model_args)
    read_config(source.folder, what, trust_remote_code=trust_remote_code)  # the tokenizer reads it as well
    tokenizer = load_tokenizer(source.tokenizer, what, trust_remote_code=trust_remote_code, padding_side="left")
    if uses_template:
        check_prompts(tokenizer, what)
    model = load_model(
        AutoModelForCausalLM,
        source.weights,
        what=what,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        on_partial=on_partial,
        **arguments,
    )
    _check_end_tokens(model, what)
    if source.adapter_weights is not None:
        model = apply_adapter(
            model, source.adapter_weights, what=f"adapter {source.adapter_name}", on_partial=on_partial
        )
    record_ties(model)
    if "device_map" not in arguments and "quantization_config" not in arguments:
        model = guarded(lambda: model.to(device), f"{what} on {device}")
    return model.eval(), tokenizer


def check_prompts(tokenizer: "PreTrainedTokenizerBase", what: str) -> None:
    """Try the chat template in a process with limits.

    Raises:
        UserError: if it cannot be used.
    """
    check_template(tokenizer, what, _TEMPLATE_HINT)


def _check_end_tokens(model: "PreTrainedModel", what: str) -> None:
    """End tokens are numbers of tokens, or nothing."""
    for where in (model.config, model.generation_config):
        ends = getattr(where, "eos_token_id", None)
        ids = [i for i in (ends if isinstance(ends, list) else [ends]) if i is not None]
        if wrong := [i for i in ids if isinstance(i, bool) or not isinstance(i, int) or i < 0]:
            raise UserError(f"{what}: eos_token_id {wrong[0]!r} is not a token id", hint="correct its config.json")


def load_subject(
    name: str,
    *,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    on_partial: Callable[[str], None] | None = None,
    uses_template: bool = True,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """`find` and `load` in one call, with their arguments, where the checkpoint's hashes are not needed.

    Raises:
        UserError: as `find` and `load`.
    """
    source = find(
        name, adapter=adapter, revision=revision, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )
    return load(
        source,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        on_partial=on_partial,
        uses_template=uses_template,
    )


def _quantization(model_args: dict[str, object]) -> dict[str, object]:
    """Pack what transformers 5 takes only inside a quantization config: `load_in_4bit`, `load_in_8bit`, …"""
    arguments = dict(model_args)
    bits = {k: arguments.pop(k) for k in list(arguments) if k.startswith(("load_in_", "bnb_4bit_"))}
    if bits:
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = guarded(lambda: BitsAndBytesConfig(**bits), "--model-args")
    return arguments
