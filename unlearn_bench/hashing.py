"""Hashes of data, prompts, weights, scorer models and code: two people must be able to trust the same number.

Every hash is SHA-256 in hexadecimal, over canonical JSON (sorted keys, no spaces, UTF-8) or over files in sorted order,
each preceded by its name and size, so that no two different folders collide by concatenation.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

_PIECE = 1 << 20  # bytes
TOKENIZER_PATTERNS = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")


def canonical_json(value: object) -> str:
    """The one JSON text of a value; pydantic models are dumped first.

    Raises:
        ValueError: if the value holds NaN or infinity, which JSON cannot say.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_jsonable
    )


def _jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)  # see `schema.Strict`
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def sha256_text(text: str) -> str:
    """Hash of a text, surrogates included."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_json(value: object) -> str:
    """Hash of a value's canonical JSON."""
    return sha256_text(canonical_json(value))


def sha256_file(path: Path) -> str:
    """Hash of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def sha256_files(paths: Iterable[Path], root: Path, digest: Callable[[Path], str] = sha256_file) -> str | None:
    """One hash over several files: name relative to `root`, size and digest of each, sorted; None for no file."""
    listing = sorted((p.relative_to(root).as_posix(), p.stat().st_size, digest(p)) for p in set(paths))
    return sha256_json(listing) if listing else None


def folder_sha256(folder: Path, patterns: Iterable[str]) -> str | None:
    """Hash over the files of a folder (not its subfolders) that match any pattern; None if none does."""
    return sha256_files((p for pattern in patterns for p in folder.glob(pattern) if p.is_file()), folder)


def tokenizer_sha256(folder: Path) -> str | None:
    """Identity of a checkpoint's tokenizer files, the chat template among them."""
    return folder_sha256(folder, (*TOKENIZER_PATTERNS, "chat_template*"))


def source_sha256(*sources: ModuleType | Path | str) -> str:
    """Hash of source code and data files: modules, paths, or paths as text.

    Line endings are normalised, so that a Windows checkout has the same fingerprint.
    """
    digests = {}
    for source in sources:
        path = Path(source.__file__ or "") if isinstance(source, ModuleType) else Path(source)
        digests[path.name] = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    return sha256_json(digests)


@cache
def package_sha256() -> str:
    """Hash of every Python file of this package: the code that produced a result, installed or cloned."""
    root = Path(__file__).parent
    files = sorted(root.rglob("*.py"))
    return sha256_json([(f.relative_to(root).as_posix(), source_sha256(f)) for f in files])


@cache
def git_state() -> tuple[str | None, bool | None]:
    """(commit, dirty) of the clone this package runs from; (None, None) when installed from a wheel."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, dirty


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
