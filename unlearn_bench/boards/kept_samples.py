"""The samples of a board's entries, packed, each file under the hash of its text.

bzip2: a run of nano, 0.7 MB with a row an answer, becomes 59 kB (gzip: 97 kB, xz: 63 kB), and unpacking needs at most
8 MB, whatever a stranger's file says; `results.reading` limits how far a packed file may unpack.
"""

import bz2
import hashlib
from collections.abc import Iterable
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.results.reading import PACKED, samples_text

FOLDER = "samples"


def kept(board_path: Path, digest: str | None) -> Path | None:
    """The samples that a board keeps for a result, or None."""
    if digest is None:
        return None
    path = _target(board_path.resolve().parent, digest)
    return path if path.is_file() else None


def keep(source: Path, folder: Path, digest: str) -> None:
    """Copy samples to a board's folder. The name is their hash, so no text of a submitter becomes a path.

    Raises:
        UserError: if the samples are not those of that hash (any more).
    """
    if _target(folder, digest).exists():
        return
    data = samples_text(source)
    if hashlib.sha256(data).hexdigest() != digest:
        raise UserError(f"{source} changed while it was being submitted")
    write_atomically(_target(folder, digest), [bz2.compress(data)])


def keep_text(lines: Iterable[str], folder: Path, digest: str) -> None:
    """Keep new samples in a board's folder, under the hash of their text."""
    if not _target(folder, digest).exists():
        write_atomically(_target(folder, digest), [bz2.compress("".join(lines).encode("utf-8"))])


def _target(folder: Path, digest: str) -> Path:
    return folder / FOLDER / f"{digest}.jsonl{PACKED}"
