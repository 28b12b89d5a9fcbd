"""What a command may replace in a folder that it fills over hours: what it wrote itself, and nothing else."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.results.reading import MAX_RESULT
from unlearn_bench.untrusted import strict_json

TABLE_FILE = "table.json"
_ELSEWHERE = "move it away, or choose another folder"


def kept_as(kind: Any, path: Path) -> Any:
    """What a command keeps for itself, as it wrote it; None where it is missing or anything else: it is made again.

    Args:
        kind: A type that pydantic knows; values are of this very type.
        path: The file.
    """
    try:
        text = strict_json.read_text(path, limit=MAX_RESULT, what="file")
        return TypeAdapter(kind).validate_json(text, strict=True)
    except (UserError, OSError, ValidationError):
        return None


def refuse_foreign(folder: Path, own: Collection[str]) -> None:
    """Make sure that nothing is lost where a folder is replaced.

    Args:
        folder: What is to be replaced, if it is there.
        own: Names of what the command writes into it; hidden files are its own too.

    Raises:
        UserError: if it is a link or a file, or holds anything else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: a {'link' if folder.is_symlink() else 'file'}, expected a folder", hint=_ELSEWHERE)
    inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in inside if name not in own and not name.startswith(".")]
    if others:
        raise UserError(
            f"{folder} would be replaced, and holds what this command did not write: {', '.join(others[:3])}",
            hint=_ELSEWHERE,
        )


def own_table(folder: Path, key: str) -> dict[str, Any] | None:
    """The table.json of a folder; None where there is none.

    Args:
        folder: The folder.
        key: What such a table has, and the other commands' tables do not.

    Raises:
        UserError: if it is the table of another command, or none at all.
    """
    path = folder / TABLE_FILE
    if not path.exists():
        return None
    found = kept_as(dict[str, Any], path)
    if found is None or key not in found:
        raise UserError(f"{path} would be replaced, and is no table of this command", hint=_ELSEWHERE)
    return dict(found)
