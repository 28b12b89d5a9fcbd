"""What a command line names: a result.json (or its folder), or `board.json#NAME` for an entry of a board."""

from pathlib import Path

from unlearn_bench.boards import kept_samples, store
from unlearn_bench.boards.board import Entry
from unlearn_bench.comparison.loaded import LoadedResult, from_file
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.results import result_digest
from unlearn_bench.untrusted.strings import shown

_SHOWN = 30


def load(text: str, samples: Path | None = None) -> LoadedResult:
    """Load what a command line names.

    Raises:
        UserError: if it cannot be read, or holds no such entry.
    """
    return find(text, samples)[0]


def file_and_entry(text: str) -> tuple[Path, str | None]:
    """The file or folder that a command line names, and the entry of a board where it names one.

    >>> file_and_entry("boards/nano.json#npo")
    (PosixPath('boards/nano.json'), 'npo')
    """
    path, hash_mark, name = text.partition(".json#")
    return (Path(f"{path}.json"), name) if hash_mark else (Path(text), None)


def find(text: str, samples: Path | None = None) -> tuple[LoadedResult, Entry | None]:
    """What a command line names, and the entry where it names one; see `load`."""
    path, name = file_and_entry(text)
    if name is not None:
        return _entry(path, name, samples)
    try:
        return from_file(Path(text), samples), None
    except UserError:
        names = _entries(Path(text))
        if names is None:
            raise
        some = "; ".join(map(shown, names[:_SHOWN])) + ("; …" if len(names) > _SHOWN else "")
        raise UserError(
            f"{shown(text)} is a leaderboard: name one of its {len(names)} entries, as {shown(text)}#NAME",
            hint=f"names: {some}" if names else None,
        ) from None


def _entries(path: Path) -> list[str] | None:
    """The names of a board's entries; None if the file is not a board."""
    if path.is_dir():
        return None
    try:
        return [entry.name for entry in store.read_board(path).entries]
    except UserError:
        return None


def _entry(path: Path, name: str, samples: Path | None) -> tuple[LoadedResult, Entry]:
    board = store.read_board(path)
    entry = board.entry(name)
    if entry is None:
        if not board.entries:
            raise UserError(f"leaderboard {path} has no entries")
        raise did_you_mean("entry", name, [e.name for e in board.entries])
    if result_digest(entry.result) != entry.result_sha256:
        raise UserError(
            f"entry {name!r} of {path}: its result is not the one that was submitted (result_sha256 differs)",
            hint=f"`unlearn-bench verify {path}` says what the board's entries are worth",
        )
    kept = samples or kept_samples.kept(path, entry.result.samples_sha256)
    keys = frozenset(metric.key for metric in board.metrics)
    return LoadedResult(entry.name, entry.result, kept, keys), entry
