"""What cell.json says of a finished cell, whether its result says the same, and what a cell may replace."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from unlearn_bench.errors import UserError
from unlearn_bench.results import RESULT_FILE, SAMPLES_FILE, read_result, require_folder
from unlearn_bench.results.owned import kept_as, own_table, refuse_foreign
from unlearn_bench.schema import Finite, MetricValue, Result

CELL_FILE = "cell.json"
KEPT = ("training.json", "trajectory.jsonl", "data.jsonl.summary.json")
_WRITTEN = frozenset({RESULT_FILE, SAMPLES_FILE, CELL_FILE, *KEPT})
_CHECKPOINT = ("config.json", "adapter_config.json")
_Metric = Annotated[str, StringConstraints(pattern=r"^[^/.]+[/.].+$")]  # "nano_forget/kfr"; "nano_kfr.kfr" up to 0.1


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow")

    identity: str
    settings: dict[str, Any]
    metrics: dict[_Metric, Finite | None]
    minutes: dict[str, Finite | None] = {}


def read_record(folder: Path) -> dict[str, Any] | None:
    """What cell.json says; None where it is missing, or is not what was written: the cell is made again."""
    found = kept_as(_Record, folder / CELL_FILE)
    return None if found is None else found.model_dump()


def of_result(folder: Path, metrics: Mapping[str, float | None]) -> dict[str, dict[str, float | None]]:
    """Places, excess recoveries and diagnostics, of the result that the cell's numbers come from.

    Args:
        folder: The cell's.
        metrics: What cell.json says; those of the second judge ("nano_forget/ls[smollm2-135m]") are in no result.

    Raises:
        UserError: if the result is missing, cannot be read, or says otherwise.
    """
    step = f"remove {folder}: the same command makes it again"
    try:
        result = read_result(folder)
    except UserError as error:
        raise UserError(error.message, hint=step) from None
    named = {f"{t}/{m}": v for t, scored in result.tasks.items() for m, v in scored.metrics.items()}
    for key, value in metrics.items():
        if "[" not in key and not _says(named.get(key), value):
            raise UserError(f"{folder}: {CELL_FILE} says {key} is {value}, and {RESULT_FILE} does not", hint=step)
    return {"places": {k: v.place.value for k, v in named.items() if v.place is not None}, **_beyond(result)}


def _says(found: MetricValue | None, value: float | None) -> bool:
    if found is None or found.value is None or value is None:
        return found is not None and found.value is value
    return math.isclose(found.value, value, rel_tol=1e-9)


def _beyond(result: Result) -> dict[str, dict[str, float | None]]:
    """What was found beyond the answers: under stress, and inside."""
    rows = result.stress.rows if result.stress else ()
    tables = result.diagnostics.tables.values() if result.diagnostics else ()
    return {
        "excess": {f"{row.stress}/{row.task}/{row.metric}": row.excess for row in rows},
        "inside": {key: value.value for table in tables for key, value in table.items()},
    }


def refuse_other_table(output: Path, names: Collection[str], asked: Sequence[Mapping[str, object]]) -> None:
    """Let a table replace none of another command, and none of cells that were made otherwise.

    Args:
        output: Folder of the table.
        names: Cells that are looked at by themselves.
        asked: What the settings of the others may be, as far as it is told.

    Raises:
        UserError: if there is such a table or cell.
    """
    own_table(output, "rows")
    for path in sorted(output.glob(f"*/{CELL_FILE}")):
        found = None if path.parent.name in names else read_record(path.parent)
        if found is not None and all(any(found["settings"].get(k) != v for k, v in one.items()) for one in asked):
            raise UserError(
                f"--output {output}: {path.parent.name} there was made with other tasks, --limit or --max-steps",
                hint="choose another --output",
            )


def refuse_loss(output: Path, keep: Path | None, cells: Mapping[str, Mapping[str, object]]) -> None:
    """Make sure, before anything is trained, that cells can be stored, and that nothing else is lost by it.

    Args:
        output: Folder of the table.
        keep: Folder of the checkpoints.
        cells: The names of those that are made, with what their training.json says.

    Raises:
        UserError: for a link, a file or foreign files in the place of a cell or of its checkpoint.
    """
    if keep is not None:
        _refuse_keep(output, keep, cells)
    for name in cells:
        refuse_foreign(output / name, _WRITTEN)


def _refuse_keep(output: Path, keep: Path, cells: Mapping[str, Mapping[str, object]]) -> None:
    require_folder(keep, "--keep")
    if keep.resolve() == output.resolve():
        raise UserError(f"--keep {keep}: the folder of the table", hint="name another one for the checkpoints")
    for name, told in cells.items():
        if (keep / name).is_symlink() or ((keep / name).exists() and not _is_of(keep / name, told)):
            raise UserError(
                f"--keep {keep}: {name} is there and is another checkpoint", hint="move it away, or name another folder"
            )


def _is_of(folder: Path, told: Mapping[str, object]) -> bool:
    """Whether a folder is a checkpoint that may be replaced: of the same cell, as far as it says of which."""
    training = kept_as(dict[str, Any], folder / KEPT[0]) or {}
    is_checkpoint = any((folder / name).is_file() for name in _CHECKPOINT)
    return is_checkpoint and all(training.get(key, value) == value for key, value in told.items())
