"""The embedded default: a corpus about fictitious people and small checkpoints trained on it, all made by this project.

`EMBEDDED` names the checkpoints that are there; `checkpoint_path` says where. No torch here.
"""

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"


def checkpoints_in(folder: Path, file: str) -> tuple[str, ...]:
    """Names of a folder's folders that hold a file, in alphabetical order; none where there is no such folder."""
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{file}") if not path.parent.name.startswith(".")))


EMBEDDED: tuple[str, ...] = checkpoints_in(CHECKPOINTS, "config.json")


def checkpoint_path(name: str) -> Path | None:
    """Return the folder of an embedded checkpoint, or None for an unknown name.

    >>> checkpoint_path("no-such-model") is None
    True
    """
    folder = CHECKPOINTS / name
    return folder if name in EMBEDDED and (folder / "config.json").is_file() else None
