"""GGUF files: dequantised by transformers, and kept in the user's cache as an ordinary checkpoint.

transformers reads a GGUF file again at each load, which takes half a minute for 135M parameters, and does not save what
it read. Here it is read once; the folder in the cache holds config.json, model.safetensors (float32: 4 bytes for each
parameter, no value is rounded), the tokenizer and the chat template if there is one. Every other part of this program
then sees a folder like any other. The model's identity stays the hash of the GGUF file.
"""

import importlib.util
import logging
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.models._cache import built_once, cache_folder, check_room, known_sha256
from unlearn_bench.models.loading import guarded, judge, misfits, quiet

SUFFIX = ".gguf"
_FORMAT = 1  # raise it when the output changes: cached files are then written again
_BYTES = 4  # of a parameter in float32
_ROOM = 1 << 25  # for tokenizer and configuration
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_DAMAGED = (
    "if the file is damaged or cut short, download or copy it again; if transformers cannot load this kind, use the "
    "model's safetensors"
)

log = logging.getLogger(__name__)


class Unpacked(NamedTuple):
    """A GGUF file as an ordinary checkpoint.

    Attributes:
        path: The GGUF file.
        folder: The checkpoint in the cache.
        sha256: Of the GGUF file.
        quantization: Its type of quantisation: "Q4_1", "Q4_K_M", "F16", …
    """

    path: Path
    folder: Path
    sha256: str
    quantization: str


def only_file(folder: Path, what: str) -> Path | None:
    """The GGUF file of a folder; None if it has none.

    Raises:
        UserError: if there are several.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:3])
        raise UserError(f"{what}: the folder holds {len(files)} GGUF files ({names})", hint="name one of them")
    return files[0] if files else None


def unpack(path: Path, what: str) -> Unpacked:
    """The checkpoint of a GGUF file, from the cache if it was unpacked before.

    Raises:
        UserError: if the file is damaged, a part of a split model, or of an architecture that transformers cannot load;
            if the package gguf is missing; or if the cache cannot be written.
    """
    if _SPLIT.search(path.name):
        raise UserError(
            f"{what}: {path.name} is a part of a split model", hint="merge the parts first: llama-gguf-split --merge"
        )
    digest = guarded(lambda: known_sha256(path), what)
    key = f"gguf/{digest}-{_FORMAT}-transformers-{version('transformers')}"  # its converter may change
    built = built_once(key, partial(_convert, path, what), what=what)
    return Unpacked(path, built.folder, digest, built.about["quantization"])


def _convert(path: Path, what: str, folder: Path) -> Mapping[str, str]:
    """Write the checkpoint of a GGUF file into a folder."""
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"{what}: reading GGUF files needs the package gguf", hint="pip install gguf")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UserError(f"{what}: {path.name} is no GGUF file", hint="download or copy it again")
    elements, quantization = guarded(lambda: _header(path), what, _DAMAGED)
    check_room(folder, elements * _BYTES + _ROOM, what)
    log.warning("%s: unpacking it into %s (once)", what, cache_folder())
    with quiet():
        guarded(lambda: _save(path, folder, what), what, _DAMAGED)
    return {"quantization": quantization}


def _save(path: Path, folder: Path, what: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    read, info = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        config=deepcopy(config),
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # so that they are named below
        output_loading_info=True,
    )
    judge(misfits(info), what, None)
    config.dtype = torch.float32
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # `read` counts as quantized and refuses to be saved
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _header(path: Path) -> tuple[int, str]:
    """Number of parameters, and the file's type as llama.cpp names it; where none is stated, that of most of them."""
    from gguf import GGUFReader, LlamaFileType

    reader = GGUFReader(path)
    sizes: dict[str, int] = {}
    for tensor in reader.tensors:
        sizes[tensor.tensor_type.name] = sizes.get(tensor.tensor_type.name, 0) + int(tensor.n_elements)
    elements = sum(sizes.values())
    stated = reader.get_field("general.file_type")
    if stated is not None and (number := int(stated.contents())) in set(LlamaFileType):
        return elements, LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")
    return elements, max(sizes, key=sizes.__getitem__)
