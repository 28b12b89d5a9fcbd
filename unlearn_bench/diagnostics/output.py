"""A diagnosis on disk: diagnostics.json, diagnostics.npz and plots."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearn_bench.diagnostics.plot_style import load_matplotlib
from unlearn_bench.diagnostics.schema import Diagnostics
from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from unlearn_bench.diagnostics.diagnose import Diagnosis

DOCUMENT_FILE, ARRAYS_FILE = "diagnostics.json", "diagnostics.npz"


def check_plots() -> None:
    """Say before the work that matplotlib is missing, not after.

    Raises:
        UserError: if it is.
    """
    load_matplotlib()


def write_diagnosis(diagnosis: "Diagnosis", folder: Path, *, plots: bool = True) -> list[Path]:
    """Write everything; the document last, so that where it is, the rest is too.

    Returns:
        The files written.
    """
    from unlearn_bench.files import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / ARRAYS_FILE]
    np.savez_compressed(written[0], **diagnosis.arrays)
    if plots:
        from unlearn_bench.diagnostics._plots import write_plots

        written += write_plots(diagnosis, folder)
    document = folder / DOCUMENT_FILE
    write_atomically(document, [diagnosis.document.model_dump_json(indent=2) + "\n"])
    return [document, *written]


def read_document(path: Path) -> Diagnostics:
    """Read a diagnostics.json, or the one in a folder.

    Raises:
        UserError: if it is missing or not such a document.
    """
    from pydantic import ValidationError

    path = path / DOCUMENT_FILE if path.is_dir() else path
    try:
        return Diagnostics.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", hint="`unlearn-bench diagnose --output` writes it") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: not a diagnostics document: {place}: {first['msg']}") from None
