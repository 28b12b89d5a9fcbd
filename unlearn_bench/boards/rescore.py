"""Bring the entries of a board to the scorers of this version, from their kept samples: no model is run again.

An entry is rescored where the fingerprint of any of its metrics is not that of this version. Its answers are scored
again from the raw responses, its aggregates and intervals computed anew, what it said before is kept as history, and
the board's pins of the scorers move with it. The checkpoint, the prompts and the answers stay as they were submitted.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unlearn_bench import __version__
from unlearn_bench.boards import _readings, kept_samples, store
from unlearn_bench.boards.board import Board, Entry, Verification, past_of, timestamp
from unlearn_bench.boards.ranking import file_order
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.evidence.records import scorers_of
from unlearn_bench.results import (
    build_task_result,
    matching_samples,
    result_digest,
    result_fingerprint,
    sample_lines,
    samples_sha256,
    value_of,
)
from unlearn_bench.results.identity import different_keys
from unlearn_bench.schema import Sample, TaskResult
from unlearn_bench.text import answer

UP_TO_DATE = "scored by this version"


@dataclass(frozen=True)
class Rescored:
    """What happened to one entry.

    Attributes:
        moved: "task/metric" of the board to the value before and after, where they differ.
        versions: Scorers and rules whose version changed, as "name old -> new".
        skipped: Why the entry stayed as it is; None if it was rescored.
    """

    name: str
    moved: dict[str, tuple[float | None, float | None]]
    versions: list[str]
    skipped: str | None = None


def rescore(
    path: Path,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Rescored]:
    """Rescore the stale entries of a board, in one locked, atomic write.

    Args:
        path: The board's file; its rules name the scoring.
        dry_run: Only say which entries are stale.
        now: Time of the rescoring; the clock's if None.
        progress: Called with the name of each entry before it is rescored.

    Raises:
        UserError: if the board or kept samples cannot be read.
    """
    at = timestamp(now)
    with store.locked(path) as real:
        board = store.read_board(real)
        rescorer = Rescorer(board.rules.scoring)
        done, entries, superseded = [], [], set()
        for entry in board.entries:
            reason = _why_not(real, entry, rescorer)
            if reason or dry_run:
                done.append(Rescored(entry.name, {}, [] if reason else _stale(entry, rescorer), reason))
                entries.append(entry)
                continue
            progress(entry.name)
            versions = _stale(entry, rescorer)
            fresh = _rescored(real, entry, rescorer, board, at, versions)
            done.append(Rescored(entry.name, _moved(entry, fresh, board), versions))
            entries.append(fresh)
            superseded.add(entry.result.samples_sha256)
        if not dry_run and any(entry.skipped is None for entry in done):
            board = board.model_copy(update={"entries": entries, "tasks": _pins(board, entries)})
            store.write(real, store.dump_board(board.model_copy(update={"entries": file_order(board)})))
            _remove_superseded(real, superseded)
    return done


def _why_not(path: Path, entry: Entry, rescorer: Rescorer) -> str | None:
    pairs = [(task.scorer, rescorer.scorer(task)) for task in entry.result.tasks.values()]
    if all(old.metrics == new.metrics for old, new in pairs):
        return UP_TO_DATE
    for old, new in pairs:
        other = [k for k in different_keys(old.parts, new.parts) if k != "words"]
        if other:
            told = ", ".join(f"{k} {old.parts.get(k)} (here {new.parts.get(k)})" for k in other)
            return f"it was scored with other parts: {told}; rules.scoring names them"
    if kept_samples.kept(path, entry.result.samples_sha256) is None:
        return "its samples are not kept beside the board"
    return None


def _rescored(path: Path, entry: Entry, rescorer: Rescorer, board: Board, at: str, versions: list[str]) -> Entry:
    kept = matching_samples(entry.result, kept_samples.kept(path, entry.result.samples_sha256))
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for sample in kept:
        by_task[sample.task].append(sample)
    tasks, again = {}, []
    for name, task in entry.result.tasks.items():
        whole = [_readings.generated(sample) for sample in by_task[name]]
        read = _readings.reads_answers(entry.result, task)
        samples = rescorer(task, [answer.apply(response) for response in whole] if read else whole)
        again += samples
        tasks[name] = _task_result(task, rescorer, samples)
    result = entry.result.model_copy(update={"tasks": tasks})
    result.fingerprint = result_fingerprint(result.model, tasks, result.run)
    result.samples_sha256 = samples_sha256(again)
    kept_samples.keep_text(sample_lines(again), path.parent, result.samples_sha256)
    because = "rescored: " + (", ".join(versions) or "scorers of this version")
    past = past_of(entry, board, replaced=at, because=because)
    verification = Verification(
        level="rescored", samples_sha256=result.samples_sha256, rows=len(again), harness=__version__, at=at
    )
    changed = {"result": result, "result_sha256": result_digest(result), "verification": verification}
    return entry.model_copy(update={**changed, "history": [*entry.history, past]})


def _task_result(task: TaskResult, rescorer: Rescorer, samples: Sequence[Sample]) -> TaskResult:
    from unlearn_bench.evidence.pipeline import aggregate

    metrics = aggregate(samples, scorers_of(task), rescorer.options)
    kept = (task.version, task.dataset, task.prompt, task.generation)
    return build_task_result(*kept, rescorer.scorer(task), samples, metrics, role=task.role)


def _stale(entry: Entry, rescorer: Rescorer) -> list[str]:
    """The versions that changed since an entry was scored, as "name old -> new"."""
    changes: dict[str, None] = {}
    for task in entry.result.tasks.values():
        now = rescorer.scorer(task).versions
        if not task.scorer.versions:
            return ["all scorers of version 0.1"]
        for name in sorted({*now, *task.scorer.versions}):
            old, new = task.scorer.versions.get(name), now.get(name)
            if old != new:
                changes[f"{name} {old} -> {new}"] = None
    return list(changes)


def _moved(old: Entry, new: Entry, board: Board) -> dict[str, tuple[float | None, float | None]]:
    values = {m.key: (value_of(old.result, m.key), value_of(new.result, m.key)) for m in board.metrics}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def _pins(board: Board, entries: Sequence[Entry]) -> dict[str, object]:
    """The board's tasks with the scorers of the entries that were rescored; an entry left behind is then unlike."""
    tasks = dict(board.tasks)
    for name, rule in board.tasks.items():
        found = [e.result.tasks[name].scorer for e in entries if name in e.result.tasks]
        current = next((scorer.metrics for scorer in found if scorer.metrics), None)
        if current:
            tasks[name] = rule.model_copy(update={"scorers": current, "scorer": None})
    return tasks


def _remove_superseded(path: Path, digests: set[str | None]) -> None:
    """Remove packed samples that no board of the folder names any more; their raw responses are in the new ones."""
    named = "".join(board.read_text(encoding="utf-8") for board in path.parent.glob("*.json"))
    for digest in digests:
        if digest and digest not in named and (file := kept_samples.kept(path, digest)):
            file.unlink()
