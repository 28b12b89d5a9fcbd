"""What `--logs` names: a folder of published logs, imported only where it is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_bench.boards.published import Logs


def folder(path: Path | None) -> "Logs | None":
    """The folder as boards ask it; None where none is named.

    Raises:
        UserError: if there is no such folder.
    """
    if path is None:
        return None
    from unlearn_bench.harness.published import LogFolder

    return LogFolder(path)
