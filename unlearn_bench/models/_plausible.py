"""Does config.json describe the model that the weight files hold? Asked before time and memory are taken for it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.models._json import read_json
from unlearn_bench.models.weight_files import WeightFiles

if TYPE_CHECKING:
    from transformers import PretrainedConfig


_PARTS = re.compile(r"(layer|block|expert|label)s?$")
_MOST_PARTS = 256  # more are believed only where the files hold as many tensors; making them takes minutes
_PER_BYTE = 2  # most parameters per byte of a file, with a margin: float8 has one
_PER_BYTE_QUANTIZED = 8
_WHOLE_NUMBERS = ("I", "U", "torch.int", "torch.uint")


def require_config(folder: Path, name: str, what: str) -> None:
    """Refuse a folder without a readable configuration.

    Raises:
        UserError: naming what the folder holds instead.
    """
    if not (folder / name).is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
        raise UserError(f"{what}: no {name} in the folder (found: {found})", hint="is it a checkpoint?")
    read_json(folder / name)


def check_settings(weights: WeightFiles, what: str) -> None:
    """Check config.json as written against the files of the folder.

    Args:
        weights: Of a model's folder.
        what: The model, as messages call it.

    Raises:
        UserError: if it names another weight file, has more parts than the files can hold, or does not say how
            quantized weights are to be read.
    """
    settings = read_json(weights.folder / "config.json")
    entries = list(_walk(settings))
    if named := [value for key, value in entries if key == "transformers_weights" and value]:
        raise UserError(f"{what}: config.json names its own weight file, {named[0]}", hint="remove that entry")
    many = [(k, v) for k, v in entries if _PARTS.search(k) and isinstance(v, (int, float)) and v > _MOST_PARTS]
    if many and max(value for _, value in many) > len(weights.tensors):
        key, value = many[0]
        raise UserError(
            f"{what}: config.json says {key} {value}, and the weight files hold {len(weights.tensors)} tensors",
            hint="the files are incomplete, or config.json belongs to another model",
        )
    if settings.get("quantization_config") or weights.pickled:
        return
    whole = [n for n, t in weights.tensors.items() if n.endswith("weight") and t.dtype.startswith(_WHOLE_NUMBERS)]
    if whole:
        raise UserError(
            f"{what}: {len(whole)} weights are whole numbers ({whole[0]}, …), and config.json has no"
            " quantization_config that says how they are read"
        )


def check_size(auto_class: type, config: "PretrainedConfig", weights: WeightFiles, what: str) -> None:
    """Refuse a configuration of a far larger model than the files hold: memory would be taken for all of it.

    Args:
        auto_class: transformers' AutoModelFor….
        config: The configuration as transformers reads it.
        weights: Of the model's folder.
        what: The model, as messages call it.

    Raises:
        UserError: naming both sizes, or a quantization that is not known.
    """
    import torch
    from transformers.initialization import no_init_weights

    _check_quantization(config, what)
    if getattr(config, "auto_map", None):
        return  # a model class that comes with the model may not know the meta device
    with torch.device("meta"), no_init_weights():
        skeleton = auto_class.from_config(config)
    elements = sum(parameter.numel() for parameter in skeleton.parameters())
    quantized = getattr(config, "quantization_config", None)
    if elements > weights.nbytes * (_PER_BYTE_QUANTIZED if quantized else _PER_BYTE):
        raise UserError(
            f"{what}: config.json describes {elements:,} parameters; the weight files have {weights.nbytes:,} bytes",
            hint="the files are incomplete, or config.json belongs to another model",
        )


def _check_quantization(config: "PretrainedConfig", what: str) -> None:
    """A method that transformers does not know would be ignored, and the packed weights read as numbers."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    settings = getattr(config, "quantization_config", None)
    method = settings.get("quant_method", "none") if isinstance(settings, dict) else None
    if method is not None and method not in {*AUTO_QUANTIZATION_CONFIG_MAPPING, "bitsandbytes"}:
        raise UserError(f"{what}: config.json names the quantization {method!r}, which transformers does not know")


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
