"""The embedded checkpoints that were unlearned: rows of the nano table with seed 0, bit for bit."""

import shutil
import tempfile
from pathlib import Path

from unlearn_bench.nano.build import put
from unlearn_bench.reproduce import cell, plan
from unlearn_bench.reproduce.nano import STUDY
from unlearn_bench.reproduce.pool import one_thread

ROW_OF = {name: row for row, name in STUDY.entry_names.items()}
SEED = 0


def build(name: str, output: Path, *, overwrite: bool) -> Path:
    """Unlearn the embedded nano-full and put the checkpoint, with its card and its record, at `output/name`.

    Args:
        name: One of `ROW_OF`.
        output: Folder of the checkpoints; made if it is not there.
        overwrite: Replace a checkpoint that is already there.

    Raises:
        UserError: for a folder that is already there (unless `overwrite`), or a full disk.
    """
    one_thread()

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            model, _ = cell.checkpoint(plan.Cell(STUDY, STUDY.row(ROW_OF[name]), SEED), Path(work), cell.Settings())
            shutil.move(model, folder)

    return put(name, output, make, overwrite=overwrite)
