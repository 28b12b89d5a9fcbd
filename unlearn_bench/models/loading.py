"""From weight files to a model that holds them all: nothing made up, nothing left out, no other file read.

transformers fills tensors that are missing from a file with random numbers, and warns. Here that is an error that
names the tensors.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unlearn_bench.errors import UserError
from unlearn_bench.models.weight_files import WeightFiles

if TYPE_CHECKING:
    from transformers import PretrainedConfig

T = TypeVar("T")

# These choose other files than those that are hashed, or hide what does not fit.
RESERVED = (
    "adapter_kwargs", "config", "gguf_file", "ignore_mismatched_sizes", "key_mapping", "output_loading_info",
    "pretrained", "pretrained_model_name_or_path", "revision", "state_dict", "subfolder", "use_safetensors", "variant",
    "weights_only",
)  # fmt: skip
NO_ADAPTER = {"subfolder": "no-adapter"}  # transformers would apply an adapter that lies in a checkpoint's folder
_COUNTS = re.compile(r"(layer|block|expert)s?$")
_MOST_PARTS = 1024  # layers or experts; more are believed only where the files hold as many tensors
_NAMED = 3
MISFIT_HINT = "the files are damaged, or of another model; --allow-partial goes on with made-up numbers for them"


def guarded(load: Callable[[], T], what: str) -> T:
    """Call `load`; whatever it raises becomes one line for the user."""
    try:
        return load()
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        raise UserError(f"{what}: it does not fit into the memory that this process may use") from None
    except BaseException as error:  # torch, safetensors, json and Rust's panics each have their own way to say: damaged
        raise UserError(f"{what}: cannot be loaded: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    """The first line that says something; of several lines, the second says what of."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if "can't allocate memory" in text or "Cannot allocate memory" in text:
        return "it does not fit into the memory that this process may use"
    return f"{type(error).__name__}: {text}"[:300]


def load_model(
    auto_class: type,
    weights: WeightFiles,
    *,
    what: str,
    dtype: object,
    trust_remote_code: bool = False,
    on_partial: Callable[[str], None] | None = None,
    unexpected_is_error: bool = True,
    hint: str = MISFIT_HINT,
    **arguments: object,
) -> object:
    """Load the model of a folder from the named files.

    Args:
        auto_class: transformers' AutoModelFor….
        weights: What `find_weights` returned.
        what: The model, as messages call it.
        dtype: As `from_pretrained` takes it.
        trust_remote_code: Run code that comes with the model.
        on_partial: Told what does not fit; without it, that is an error.
        unexpected_is_error: Whether tensors that the model has no place for are an error.
        hint: What to do where tensors do not fit.
        arguments: Further arguments of `from_pretrained`.

    Raises:
        UserError: naming the tensors that are missing, unexpected, or of another shape; or why nothing can be loaded.
    """
    if reserved := [name for name in RESERVED if name in arguments]:
        raise UserError(
            f"{what}: --model-args {reserved[0]} is not taken: it would load other weights than those of the folder",
            hint="put the wanted files into a folder of their own",
        )
    config = guarded(lambda: _config(weights.folder, trust_remote_code), what)
    guarded(lambda: _check_size(auto_class, config, weights, what), what)
    model, info = guarded(
        lambda: auto_class.from_pretrained(
            weights.folder,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            use_safetensors=not weights.pickled,
            adapter_kwargs=NO_ADAPTER,
            ignore_mismatched_sizes=True,  # so that they are named below
            output_loading_info=True,
            **arguments,
        ),
        what,
    )
    wrong = {
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]) if unexpected_is_error else [],
        "of another shape": [
            f"{name} {list(file)} in the file, {list(wanted)} in the model"
            for name, file, wanted in sorted(info["mismatched_keys"])
        ],
    }
    judge(wrong, what, on_partial, hint)
    return model


def judge(
    wrong: Mapping[str, list[str]], what: str, on_partial: Callable[[str], None] | None, hint: str = MISFIT_HINT
) -> None:
    """Stop where tensors do not fit, or tell `on_partial`.

    Args:
        wrong: What is the matter with them, to the names of tensors.
        what: The model, as messages call it.
        on_partial: None where a partly loaded model is an error.
        hint: What to do then.

    Raises:
        UserError: naming the first tensors of each kind, and how many there are.
    """
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
        for kind, names in wrong.items()
        if names
    ]
    if not parts:
        return
    said = f"tensors {'; '.join(parts)}"
    if on_partial is None:
        raise UserError(f"{what}: the weights do not fit the model: {said}", hint=hint)
    on_partial(said)


def _config(folder: Path, trust_remote_code: bool) -> "PretrainedConfig":
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)


def _check_size(auto_class: type, config: "PretrainedConfig", weights: WeightFiles, what: str) -> None:
    """Refuse a config.json that describes a far larger model than the files hold, before memory is taken for it."""
    import torch

    settings = config.to_dict()
    if named := [value for key, value in _walk(settings) if key == "transformers_weights" and value]:
        raise UserError(f"{what}: config.json names its own weight file, {named[0]}", hint="remove that entry")
    for key, value in _walk(settings):
        if _COUNTS.search(key) and isinstance(value, int) and value > max(_MOST_PARTS, _tensors(weights)):
            raise UserError(f"{what}: config.json says {key} {value}; the weight files hold no such model")
    if settings.get("auto_map"):
        return  # a stranger's model class may not know the meta device
    with torch.device("meta"):
        skeleton = auto_class.from_config(config)
    elements = sum(parameter.numel() for parameter in skeleton.parameters())
    most = weights.nbytes * (8 if settings.get("quantization_config") else 2)
    if elements > most:
        raise UserError(
            f"{what}: config.json describes {elements:,} parameters; the weight files have {weights.nbytes:,} bytes",
            hint="the files are incomplete, or config.json belongs to another model",
        )


def _tensors(weights: WeightFiles) -> int:
    return 0 if weights.pickled else len(weights.shapes)


def _walk(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every key and value of nested settings."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, key)
    else:
        yield key, value
