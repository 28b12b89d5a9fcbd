"""Bring the entries of a board to the scorers of this version, from their kept samples: no model is run again.

An entry is rescored where the fingerprint of any of its metrics is not that of this version, or where its tasks are now
parts of one question set. Stale answers are scored again from the raw responses and aggregated anew;
tasks of one question set are put together as they are. What the entry said before is kept as history, and the board's
pins move with it. The checkpoint, the prompts and the answers stay as they were submitted.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from unlearn_bench import __version__
from unlearn_bench.boards import _readings, by_question_set, kept_samples, published, store
from unlearn_bench.boards.board import Board, Entry, Verification, past_of, timestamp
from unlearn_bench.boards.published import Logs
from unlearn_bench.boards.ranking import file_order
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.comparison.question_sets import Regrouped, current_key
from unlearn_bench.evidence.pipeline import aggregate
from unlearn_bench.evidence.records import scorers_of
from unlearn_bench.results import (
    build_task_result,
    matching_samples,
    result_digest,
    result_fingerprint,
    sample_lines,
    samples_by_task,
    samples_sha256,
    takers,
    value_of,
)
from unlearn_bench.schema import Result, Sample, TaskResult
from unlearn_bench.summaries.aggregate import again, held_against_oracle
from unlearn_bench.text import answer

UP_TO_DATE = "scored by this version"


@dataclass(frozen=True)
class Rescored:
    """What happened to one entry.

    Attributes:
        moved: "task/metric" of the board to the value before and after, where they differ.
        versions: Scorers and rules whose version changed, as "name old -> new"; tasks that became one, alike.
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
    logs: Logs | None = None,
    now: datetime | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Rescored]:
    """Rescore the stale entries of a board, in one locked, atomic write.

    Args:
        path: The board's file; its rules name the scoring.
        dry_run: Only say which entries are stale.
        logs: Published logs, for the rows that were scored from one.
        now: Time of the rescoring; the clock's if None.
        progress: Called with the name of each entry before it is rescored.

    Raises:
        UserError: if the board or kept samples cannot be read.
    """
    at = timestamp(now)
    with store.locked(path) as real:
        board = store.read_board(real)
        rescorer = Rescorer(board.rules.scoring)
        jobs = _jobs(real, board, rescorer, logs)
        if dry_run:
            return [Rescored(job.entry.name, {}, job.changes, job.skipped) for job in jobs]
        done, entries, superseded, pinned = [], [], set(), dict(board.logs)
        after = by_question_set.renamed(board) if any(job.regrouped for job in jobs) else board
        for job in jobs:
            entry = job.entry
            if job.skipped is None:
                progress(entry.name)
                if job.log is None:
                    entry = _rescored(real, job, rescorer, board, at)
                else:
                    because = f"rescored: {', '.join(job.changes)}"
                    entry, pinned[job.content] = published.rescored(entry, job.log, board, logs, at, because)
                superseded.add(job.entry.result.samples_sha256)
            done.append(Rescored(entry.name, _moved(job.entry, entry, board), job.changes, job.skipped))
            entries.append(entry)
        if superseded:
            pins = {"tasks": _pins(after, entries), "logs": pinned}
            after = after.model_copy(update={"entries": entries, **pins})
            store.write(real, store.dump_board(after.model_copy(update={"entries": file_order(after)})))
            _remove_superseded(real, superseded)
    return done


@dataclass(frozen=True)
class _Job:
    """What is to be done with an entry.

    Attributes:
        entry: The entry as it is.
        changes: What is brought up to date, in words.
        stale: The answers are scored again; not so where tasks are only put together.
        skipped: Why the entry stays as it is.
        regrouped: The entry's result and samples by question set, where its tasks are put together.
        log, content: The published log that the entry is scored from, and the hash of its content.
    """

    entry: Entry
    changes: list[str]
    stale: bool = False
    skipped: str | None = None
    regrouped: Regrouped | None = None
    log: Path | None = None
    content: str = ""


def _jobs(path: Path, board: Board, rescorer: Rescorer, logs: Logs | None) -> list[_Job]:
    """An entry is put together by question set only if every entry can be: a board asks all in the same words."""
    at_hand = logs.find(board.logs) if logs is not None else {}
    plain = [
        _job(path, entry, rescorer)
        if (log := board.published(entry)) is None
        else _log_job(entry, board.content(log), rescorer, at_hand)
        for entry in board.entries
    ]
    if not by_question_set.needs_it(board):
        return plain
    found = [by_question_set.regrouped(path, entry) for entry in board.entries]
    stuck = [new if isinstance(new, str) else job.skipped for job, new in zip(plain, found, strict=True)]
    first = next((i for i, why in enumerate(stuck) if why not in (None, UP_TO_DATE)), None)
    if first is not None:
        told = f"no entry can be shown by question set, because of {plain[first].entry.name}: {stuck[first]}"
        return [replace(job, skipped=told) if job.skipped == UP_TO_DATE else job for job in plain]
    return [
        replace(job, changes=[*_told(new), *job.changes], regrouped=new, skipped=None) if new.renamed else job
        for job, new in zip(plain, found, strict=True)
    ]


def _told(found: Regrouped) -> list[str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, one in found.renamed.items():
        groups[one].append(name)
    return [f"{' + '.join(names)} -> {one}" for one, names in groups.items()]


def _job(path: Path, entry: Entry, rescorer: Rescorer) -> _Job:
    pairs = [(task.scorer, rescorer.scorer(task)) for task in entry.result.tasks.values()]
    if all(old.metrics == new.metrics for old, new in pairs):
        return _Job(entry, [], skipped=UP_TO_DATE)
    for old, new in pairs:
        # a part that only one asks for came or went with a version
        other = [
            k for k in sorted(old.parts.keys() & new.parts.keys()) if old.parts[k] != new.parts[k] and k != "words"
        ]
        if other:
            told = ", ".join(f"{k} {old.parts[k]} (here {new.parts[k]})" for k in other)
            return _Job(entry, [], skipped=f"it was scored with other parts: {told}; rules.scoring names them")
    if kept_samples.kept(path, entry.result.samples_sha256) is None:
        return _Job(entry, [], skipped="its samples are not kept next to the board")
    return _Job(entry, _stale(entry, rescorer) or ["scorers of this version"], stale=True)


def _log_job(entry: Entry, content: str, rescorer: Rescorer, at_hand: Mapping[str, Path]) -> _Job:
    """A row of a published log is stale by the versions of its scorers."""
    changes = _stale(entry, rescorer)
    if not changes:
        return _Job(entry, [], skipped=UP_TO_DATE)
    if content not in at_hand:
        return _Job(entry, changes, skipped="its published log is not at hand: --logs DIR")
    return _Job(entry, changes, stale=True, log=at_hand[content], content=content)


def _rescored(path: Path, job: _Job, rescorer: Rescorer, board: Board, at: str) -> Entry:
    entry, result = job.entry, job.entry.result
    if job.regrouped is not None:
        result, samples = job.regrouped.result, job.regrouped.samples
    else:
        samples = matching_samples(result, kept_samples.kept(path, result.samples_sha256))
    level = entry.verification.level if entry.verification else "records"
    if job.stale:
        result, samples, level = *_again(result, samples, rescorer), "rescored"
    kept_samples.keep_text(sample_lines(samples), path.parent, result.samples_sha256)
    past = past_of(entry, board, replaced=at, because=f"rescored: {', '.join(job.changes)}")
    verification = Verification(
        level=level, samples_sha256=result.samples_sha256, rows=len(samples), harness=__version__, at=at
    )
    changed = {"result": result, "result_sha256": result_digest(result), "verification": verification}
    return entry.model_copy(update={**changed, "history": [*entry.history, past]})


def _again(result: Result, samples: Sequence[Sample], rescorer: Rescorer) -> tuple[Result, list[Sample]]:
    """The result with its answers scored again, and those answers."""
    scored = _answers_again(result, samples, rescorer)
    by_task = samples_by_task(result, scored)
    tasks = {name: _task_result(task, rescorer, by_task[name]) for name, task in result.tasks.items()}
    fingerprint = result_fingerprint(result.model, tasks, result.run)
    changes = {"tasks": tasks, "fingerprint": fingerprint, "samples_sha256": samples_sha256(scored)}
    return result.model_copy(update=changes), scored


def _answers_again(result: Result, samples: Sequence[Sample], rescorer: Rescorer) -> list[Sample]:
    """Every question set, read and scored again for all tasks that take it."""
    scored = []
    for one, names in takers(result).items():
        tasks = [result.tasks[name] for name in names]
        whole = [_readings.generated(sample) for sample in samples if sample.task == one]
        if all(_readings.reads_answers(result, task) for task in tasks):
            whole = [answer.apply(response) for response in whole]
        scored += rescorer(whole, list(dict.fromkeys(name for task in tasks for name in scorers_of(task))))
    return scored


def _task_result(task: TaskResult, rescorer: Rescorer, samples: Sequence[Sample]) -> TaskResult:
    metrics = aggregate(samples, scorers_of(task), rescorer.options)
    metrics |= {name: task.metrics[name] for name in held_against_oracle(task)}
    metrics |= again(task, samples, rescorer.options)
    kept = (task.version, task.dataset, task.prompt, task.generation)
    scorer = rescorer.scorer(task)
    return build_task_result(*kept, scorer, samples, metrics, role=task.role, samples_of=task.samples_of)


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
    found = {}
    for metric in board.metrics:
        key = metric.key if metric.task in new.result.tasks else current_key(metric.key)
        found[key] = value_of(old.result, metric.key), value_of(new.result, key)
    return {key: pair for key, pair in found.items() if pair[0] != pair[1]}


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
