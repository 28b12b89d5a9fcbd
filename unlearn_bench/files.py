"""Writing that leaves the old file or the new one, never half of one; reading that never waits for a pipe.

Also how YAML is read.
"""

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import yaml


class IrregularFileError(OSError):
    """A folder, pipe or device where a file was expected."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe without a writer is refused at once.

    Raises:
        FileNotFoundError: if the file does not exist.
        IrregularFileError: if it is a folder, a pipe or a device.
        ValueError: for a NUL in the name.
        OSError: if it cannot be read.
    """
    # O_NONBLOCK: opening a named pipe without a writer would block forever
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise IrregularFileError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")


def read_yaml(text: str, loader: "type[yaml.SafeLoader] | None" = None) -> Any:
    """The content of a YAML text, with plain types only.

    Args:
        text: One document.
        loader: A subclass of `yaml_loader()` that knows more tags.
    """
    import yaml

    return yaml.load(text, Loader=loader or yaml_loader())


@cache
def yaml_loader() -> "type[yaml.SafeLoader]":
    """PyYAML's safe loader: libyaml's, which is ten times faster, where PyYAML was built with it."""
    import yaml

    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def write_atomically(path: Path, pieces: Iterable[str | bytes]) -> None:
    """Write to a file through a temporary one in the same folder, flushed to disk before it takes the name.

    Args:
        path: The file; its folder is made.
        pieces: The content, text (written as UTF-8) or bytes, in pieces; may be a generator.

    Raises:
        OSError: if the disk is full or the folder cannot be written; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece if isinstance(piece, bytes) else piece.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_together(texts: Mapping[Path, Iterable[str | bytes]]) -> None:
    """Write several files that belong together: all are on the disk before any takes its name.

    Args:
        texts: File to its content; the files take their names in this order.

    Raises:
        OSError: if the disk is full or a folder cannot be written; the old files are then untouched.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, pieces in texts.items():
            write_atomically(parts[path], pieces)
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def umask() -> int:
    """The process's umask. The system has no call that only reads it, so it is set and restored."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
