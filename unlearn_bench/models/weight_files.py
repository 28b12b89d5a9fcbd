"""Which files hold a model's weights: exactly those that are loaded are named here, and exactly those are hashed.

transformers and PEFT look for fixed names: one safetensors file, or an index of several; else the same with pickles.
A file of another name is never loaded, so it must not stand for the model's identity, nor make a pickle look safe.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_files
from unlearn_bench.models._json import read_json

MODEL = ("model.safetensors", "pytorch_model.bin")
ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
ADAPTER_CONFIG = "adapter_config.json"
_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
_DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
_HEADER_LIMIT = 100_000_000  # bytes; the limit of safetensors' own reader


class Tensor(NamedTuple):
    """What a file says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class WeightFiles:
    """The files that are loaded from a folder, all safetensors or all pickles.

    Attributes:
        original_sha256: Of the GGUF file that they were unpacked from, which is then their identity.
    """

    folder: Path
    files: tuple[Path, ...]
    pickled: bool
    original_sha256: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Identity of the weights: hash over the files; computed once, since it reads every byte."""
        if self.original_sha256 is not None:
            return self.original_sha256
        digest = sha256_files(self.files, self.folder)
        assert digest is not None  # there is at least one file
        return digest

    @property
    def nbytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """Name to type and shape; of a safetensors file only the header is read."""
        return dict(pair for path in self.files for pair in (_unpickled if self.pickled else _header)(path))


def _unpickled(path: Path) -> Iterator[tuple[str, Tensor]]:
    import torch

    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    yield from ((name, Tensor(str(t.dtype), tuple(t.shape))) for name, t in loaded.items() if torch.is_tensor(t))


def _header(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Source: https://huggingface.co/docs/safetensors, Format."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= _HEADER_LIMIT:
            raise UserError(f"{path.name}: damaged: it has no safetensors header", hint="download or copy it again")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            yield from ((name, Tensor(str(entry["dtype"]), tuple(entry["shape"]))) for name, entry in header.items())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(
                f"{path.name}: damaged: its safetensors header cannot be read", hint="download or copy it again"
            ) from None


def is_whole(folder: Path) -> bool:
    """Whether a folder holds the weights of a checkpoint, under the names that transformers loads."""
    return any((folder / f"{name}{end}").exists() for name in MODEL for end in ("", ".index.json"))


def find_weights(folder: Path, *, what: str, names: tuple[str, str] = MODEL, allow_pickle: bool = False) -> WeightFiles:
    """The weight files of a folder.

    Args:
        folder: A checkpoint or an adapter.
        what: The model, as messages call it.
        names: Name of a single safetensors file and of a single pickle; with ".index.json" the name of their index.
        allow_pickle: Accept pickles where there is no safetensors file.

    Raises:
        UserError: if there are none, a part is missing or lies outside the folder, or they are pickled and that is not
            allowed.
    """
    if strange := next((p.name for p in folder.iterdir() if _DISTRIBUTED.fullmatch(p.name)), None):
        raise UserError(f"{what}: {strange} is a part of a distributed checkpoint", hint="merge its parts first")
    for name, pickled in zip(names, (False, True), strict=True):
        single, index = folder / name, folder / f"{name}.index.json"
        if not single.is_file() and not index.is_file():
            continue
        if pickled and not allow_pickle:
            raise _pickle_refused(folder, what, single.name if single.is_file() else index.name)
        files = [name] if single.is_file() else _shards(index, what, Path(name).suffix)
        return WeightFiles(folder, tuple(_inside(folder, file, what) for file in files), pickled)
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
    pickles = [p.name for p in folder.iterdir() if p.suffix in _PICKLE_SUFFIXES]
    also = f"; pickles of other names are not loaded: {', '.join(sorted(pickles)[:3])}" if pickles else ""
    raise UserError(
        f"{what}: no weights in the folder (found: {found}{also})", hint=f"expected {names[0]} or {names[0]}.index.json"
    )


def weights_sha256(folder: Path) -> str:
    """Hash of the weights of a checkpoint's folder.

    Raises:
        UserError: as `find_weights`.
    """
    return find_weights(folder, what=folder.name).sha256


def _pickle_refused(folder: Path, what: str, name: str) -> UserError:
    others = sorted(p.name for p in folder.glob("*.safetensors"))
    also = f" ({', '.join(others[:3])} would not be loaded)" if others else ""
    return UserError(
        f"{what}: its weights are pickled, {name}{also}; loading pickles can run any code",
        hint="convert them to safetensors, or pass --allow-pickle if you trust their author",
    )


def _shards(index: Path, what: str, suffix: str) -> list[str]:
    """The files that an index names, sorted."""
    parts = read_json(index).get("weight_map")
    if not isinstance(parts, dict) or not parts or not all(isinstance(part, str) for part in parts.values()):
        raise UserError(f"{what}: {index.name} has no weight_map from tensors to files")
    if wrong := sorted({part for part in parts.values() if not part.endswith(suffix)}):
        raise UserError(f"{what}: {index.name} names {wrong[0]!r}, which is no {suffix} file")
    return sorted(set(parts.values()))


def _inside(folder: Path, name: str, what: str) -> Path:
    """A file of the folder; in the hub's cache, files are links to `blobs` two levels above."""
    path, root = folder / name, folder.resolve()
    real = path.resolve()
    homes = [root, *([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])]
    foreign = any(p.is_absolute() or ".." in p.parts for p in (PurePosixPath(name), PureWindowsPath(name)))
    if foreign or not any(real.is_relative_to(home) for home in homes):
        raise UserError(f"{what}: the weights {name!r} lie outside of its folder", hint="copy the file into the folder")
    if not path.is_file():
        raise UserError(f"{what}: the part {name} of the weights is missing", hint="download or copy it again")
    return path
