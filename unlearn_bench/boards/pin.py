"""Pin what a board asks for from what this package knows, so that no first entry has to be trusted.

For a task of this package: its version, dataset, number of rows, generation settings, and the hash of every row. Chat
templates and tokenizers come from the entries that are there, where they are asked for.
"""

from collections.abc import Sequence
from pathlib import Path

from unlearn_bench.boards import known_rows, store
from unlearn_bench.boards.board import Board, DatasetRows, TaskRule
from unlearn_bench.errors import UserError
from unlearn_bench.results.identity import generation_rules
from unlearn_bench.tasks_index import task_definitions

ASKING = {"chat_templates": "chat_template_sha256", "tokenizers": "tokenizer_sha256"}


def pin(path: Path, *, data_dir: Path | None = None, asking: Sequence[str] = ()) -> list[str]:
    """Fill a board's pins and write it.

    Args:
        path: The board's file.
        data_dir: A folder of datasets; the hub otherwise. Embedded data needs neither.
        asking: Keys of `ASKING`: pin those hashes that the board's entries have.

    Returns:
        A line for each task and each list that was pinned.

    Raises:
        UserError: if data is not there, or a pin would contradict an entry or an older pin.
    """
    with store.locked(path) as real:
        board = store.read_board(real)
        said, tasks, datasets = [], dict(board.tasks), dict(board.datasets)
        for name, rule in board.tasks.items():
            if name not in task_definitions():
                said.append(f"{name}: not a task of this package, left as it is")
                continue
            tasks[name], digest, known = _pinned(name, rule, data_dir)
            if known.name not in known_rows.EMBEDDED:
                datasets[digest] = known
            said.append(f"{name}: {known.name} {known.split}, {tasks[name].n} rows, {digest[:12]}")
        rules = board.rules.model_copy(update={key: _of_entries(board, key) for key in asking})
        said += [f"{key}: {len(getattr(rules, key))} of {len(board.entries)} entries" for key in asking]
        board = board.model_copy(update={"tasks": tasks, "datasets": datasets, "rules": rules})
        store.write(real, store.dump_board(board))
    return said


def _pinned(name: str, rule: TaskRule, data_dir: Path | None) -> tuple[TaskRule, str, DatasetRows]:
    asked = task_definitions()[name]
    ((digest, known),) = known_rows.load(str(asked["dataset"]), str(asked["split"]), data_dir).items()
    field = rule.question or str(asked.get("question", "question"))
    pins = {
        "version": str(asked["version"]),
        "n": len(known.rows[field]),
        "dataset_sha256": digest,
        "generation": generation_rules(asked["generation"]),
    }
    moved = [key for key, value in pins.items() if getattr(rule, key) not in (None, value)]
    if moved:
        raise UserError(
            f"task {name}: the board pins another {', '.join(moved)} than this package's data and task have",
            hint="a pin that entries were held to does not move; start a new board",
        )
    return rule.model_copy(update=pins), digest, known


def _of_entries(board: Board, key: str) -> list[str]:
    values = {getattr(entry.result.model, ASKING[key]) for entry in board.entries}
    if not values or None in values:
        raise UserError(f"--{key.replace('_', '-')}: not every entry of the board states it, so it cannot be pinned")
    return sorted(values)
