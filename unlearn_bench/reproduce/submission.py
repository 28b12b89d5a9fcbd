"""Put the rows of a table on a leaderboard, as anybody would submit them: one entry a row, of its first seed.

Rows that are checkpoints of the package have their names. Samples are kept: anybody can verify each row again, and
hold a gate against it.
"""

from collections.abc import Sequence
from pathlib import Path

from unlearn_bench.boards import submit as verb
from unlearn_bench.boards.store import read_board
from unlearn_bench.reproduce.cell import Settings, finished
from unlearn_bench.reproduce.plan import Cell
from unlearn_bench.results import read_result


def submit_rows(work: Sequence[Cell], output: Path, settings: Settings, board: Path) -> list[verb.Submitted]:
    """Submit the finished cells of the first seed; an entry of the same name becomes that entry's history.

    A row whose very answers are on the board already is left out, so that a board can be filled row by row.

    Args:
        work: Cells, as `plan.cells` orders them.
        output: Folder of the cells' folders.
        settings: Those the cells were run with.
        board: The leaderboard's file.

    Raises:
        UserError: with every reason, at the first row that the board refuses; rows before it are on the board.
    """
    there = {entry.result.samples_sha256 for entry in read_board(board).entries}
    done = [
        cell
        for cell in work
        if cell.first
        and finished(cell, output, settings) is not None
        and read_result(output / cell.name).samples_sha256 not in there
    ]
    seeds = sorted({cell.seed for cell in work})
    return [_submit(cell, output / cell.name, board, seeds) for cell in done]


def _submit(cell: Cell, folder: Path, board: Path, seeds: Sequence[int]) -> verb.Submitted:
    row, study, training = cell.row, cell.study, folder / "training.json"
    notes = f"Row {row.name!r} of the {study.name} table"
    if row.seeded:
        notes += f", seed {cell.seed}"
    if row.seeded and len(seeds) > 1:
        notes += f" of {', '.join(map(str, seeds))}; the table has means over seeds"
    claim = verb.Claim(
        name=study.entry_names.get(row.name, row.name),
        submitter="unlearn-bench",
        relationship="first_party",
        notes=f"{notes}.",
        training=verb.read_training(training) if training.is_file() else None,
        because=f"{study.name} reproduce was run again",
    )
    return verb.submit(folder, board, claim, keep_samples=True, replace=True)
