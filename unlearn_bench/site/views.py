"""What a report is made of: boards, ranked, and results given with them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unlearn_bench.boards import kept_samples, store
from unlearn_bench.boards.board import Board, slug
from unlearn_bench.boards.ranking import Ranked, Scale, rank, scales
from unlearn_bench.comparison.follows import require
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.comparison.metric_info import range_problems
from unlearn_bench.errors import UserError
from unlearn_bench.results import beside, matching_samples, read_document, result_digest
from unlearn_bench.results.plausible import document_problems
from unlearn_bench.schema import Result, Sample
from unlearn_bench.site import _seeds


@dataclass(frozen=True)
class BoardView:
    """A board, ranked, with the file it came from."""

    board: Board
    path: Path
    ranked: list[Ranked]
    scales: dict[str, Scale]
    urls: dict[str, str]
    methods: list[_seeds.Method]


@dataclass(frozen=True)
class Loose:
    """A result given with the boards: evidence for an entry, or a separate page."""

    name: str
    result: Result
    digest: str
    folder: Path
    samples: Path | None


@dataclass
class Inputs:
    """Everything a report is made of."""

    boards: list[BoardView] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)


def load(paths: Sequence[Path]) -> Inputs:
    """Read boards and results; their content shows which is which.

    Raises:
        UserError: if a file is neither, or two boards or two entries of one have the same name.
    """
    inputs = Inputs()
    for path in paths:
        if path.is_file() and path.suffix == ".json" and _is_board(path):
            inputs.boards.append(view(store.read_board(path), path))
        else:
            result, plain = read_document(path)
            problems = [*document_problems(result, plain), *range_problems(result)]
            if problems:
                raise UserError(f"result {path} cannot be true", hint="\n  ".join(map(str, problems[:10])))
            folder = path if path.is_dir() else path.parent
            digest = result_digest(result)
            require(LoadedResult(result.model.name, result, beside(path)))
            inputs.loose.append(Loose(result.model.name, result, digest, folder, beside(path)))
    names = [v.board.benchmark for v in inputs.boards]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two boards are called {sorted(twice)[0]!r}; a page would replace the other")
    return inputs


def scored(inputs: Inputs) -> list[tuple[Result, list[Sample]]]:
    """Every result of a report with its samples, those of the boards' entries too; none where they are not at hand."""
    found = [(loose.result, loose.samples) for loose in inputs.loose]
    for v in inputs.boards:
        for entry in v.board.entries:
            found.append((entry.result, kept_samples.kept(v.path, entry.result.samples_sha256)))
    return [(result, matching_samples(result, path) if path else []) for result, path in found]


def _is_board(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"benchmark"' in file.read(4096)


def view(board: Board, path: Path) -> BoardView:
    """A board as the report shows it.

    Raises:
        UserError: if two entries have the same name: links and methods go by it.
    """
    count = Counter(entry.name for entry in board.entries)
    for name in (name for name, number in count.items() if number > 1):
        raise UserError(
            f"leaderboard {path}: {count[name]} entries are called {name!r}",
            hint=f"keep one of them; `unlearn-bench verify {path}` says what they are worth",
        )
    urls = {e.name: f"entries/{board.benchmark}-{slug(e.name, e.result_sha256)}.html" for e in board.entries}
    ranked = rank(board)
    return BoardView(board, path, ranked, scales(board), urls, _seeds.methods(ranked))
