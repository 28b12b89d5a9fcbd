"""The embedded default: a corpus about fictitious people and small checkpoints trained on it, all made by this project.

`EMBEDDED` names the checkpoints that are there; `checkpoint_path` says where. No torch here.
"""

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"


def _found() -> tuple[str, ...]:
    if not CHECKPOINTS.is_dir():
        return ()
    return tuple(sorted(folder.name for folder in CHECKPOINTS.iterdir() if (folder / "config.json").is_file()))


EMBEDDED: tuple[str, ...] = _found()


def checkpoint_path(name: str) -> Path | None:
    """Return the folder of an embedded checkpoint, or None for an unknown name.

    >>> checkpoint_path("no-such-model") is None
    True
    """
    folder = CHECKPOINTS / name
    return folder if name in EMBEDDED and (folder / "config.json").is_file() else None
