"""The rows that a dataset truly holds, to compare samples with.

A dataset's hash says which rows were asked; only the rows themselves show that a sample asks one of them. They come
from the package (embedded data), from the board (`datasets`: the hash of every row), or from a folder of the data.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from unlearn_bench.boards.board import Board, DatasetRows
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import Row, Sample, TaskResult
from unlearn_bench.tasks_index import task_definitions

EMBEDDED = ("nano", "smol")
QUESTIONS = ("question", "paraphrased_question")

Digests = Mapping[str, str]


def row_digest(question: str, answer: str | None, cluster: str | None, role: str) -> str:
    """Hash of what a sample repeats of its row."""
    return sha256_json([question, answer or None, cluster, role])


def sample_digest(sample: Sample) -> str:
    """The hash that the sample's row must have."""
    return row_digest(sample.question, sample.reference, sample.cluster, sample.role)


def digests(rows: list[Row]) -> dict[str, dict[str, str]]:
    """Field that is asked, to row id, to the row's hash; without fields that a row lacks."""
    asked = [field for field in QUESTIONS if all(getattr(row, field) for row in rows)]
    return {
        field: {row.id: row_digest(getattr(row, field), row.answer, row.cluster, row.role) for row in rows}
        for field in asked
    }


class KnownRows:
    """Where the rows of a result's tasks can be looked up.

    Args:
        board: Its `datasets` and the questions that its tasks ask; None without a board.
        data_dir: A folder of datasets, as `run --data-dir` takes it.
    """

    def __init__(self, board: Board | None = None, data_dir: Path | None = None) -> None:
        self._board, self._data_dir = board, data_dir
        self._loaded: dict[tuple[str, str], dict[str, DatasetRows]] = {}

    def of(self, name: str, task: TaskResult) -> Digests | None:
        """Row id to hash, of the rows that the task's dataset holds; None where nothing is known of it."""
        dataset = task.dataset
        known = _embedded().get(dataset.sha256)
        if known is None and self._board is not None:
            known = self._board.datasets.get(dataset.sha256)
        if known is None and self._data_dir is not None:
            known = self._from_folder(dataset.name, dataset.split).get(dataset.sha256)
        return None if known is None else known.rows.get(self.question(name))

    def question(self, name: str) -> str:
        """The field of a row that a task asks."""
        rule = self._board.tasks.get(name) if self._board else None
        if rule is not None and rule.question is not None:
            return rule.question
        return str(task_definitions().get(name, {}).get("question", "question"))

    def _from_folder(self, name: str, split: str) -> dict[str, DatasetRows]:
        if (name, split) not in self._loaded:
            try:
                self._loaded[name, split] = load(name, split, self._data_dir)
            except UserError:  # a dataset or split that this package does not know
                self._loaded[name, split] = {}
        return self._loaded[name, split]


def load(name: str, split: str, data_dir: Path | None = None) -> dict[str, DatasetRows]:
    """The rows of a dataset's split, under their hash.

    Raises:
        UserError: if the data are unknown, or not there.
    """
    from unlearn_bench import data

    dataset = data.load(name, split, data_dir=None if data_dir is None else str(data_dir))
    revision = dataset.revision or data.DATASETS.get(name).revision
    found = DatasetRows(name=name, split=split, revision=revision, rows=digests(dataset.rows))
    return {dataset.info().sha256: found}


@cache
def _embedded() -> dict[str, DatasetRows]:
    from unlearn_bench.data import DATASETS

    splits = [(name, split) for name in EMBEDDED for split in DATASETS.get(name).splits]
    return {digest: rows for name, split in splits for digest, rows in load(name, split).items()}
