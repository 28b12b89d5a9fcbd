"""Answers on disk, one file per request under the request's hash; processes may share the folder."""

import json
from pathlib import Path
from typing import Any

from unlearn_bench.files import write_atomically


class Kept:
    """A folder of answers; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, key: str) -> dict[str, Any] | None:
        """What was kept under a key; None if nothing was, or it was written by something else (it is asked again)."""
        if self._folder is None:
            return None
        try:
            stored = json.loads(self._path(key).read_text(encoding="utf-8"))
            good = stored["key"] == key and isinstance(stored["text"], str)
            return stored if good else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, key: str, **stored: str | None) -> None:
        """Store an answer: `text` and its other fields.

        Raises:
            OSError: if the disk is full or the folder cannot be written.
        """
        if self._folder is not None:
            write_atomically(self._path(key), [json.dumps({"key": key, **stored})])

    def _path(self, key: str) -> Path:
        return Path(self._folder or "") / key[:2] / f"{key}.json"
