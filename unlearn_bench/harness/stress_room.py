"""All exams of a panel, one after another in this process or shared among several.

Each exam is done as one process would do it, and is kept where one would keep it (`stress_sitting`): how many processes
there are moves no number. Exams that share a preparation (the steps of one training) stay in one process.
"""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.harness.plan import Plan
from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.spec import StressSpec
from unlearn_bench.harness.stress_sitting import UNSTRESSED, ExamRecord, Sitting
from unlearn_bench.models import subject
from unlearn_bench.processes import processes, submit
from unlearn_bench.schema import ModelInfo
from unlearn_bench.stress.panel import Exam

ANSWERS_A_PROCESS = 1000  # about as many take as long as a process takes to start
MOST_BYTES = 200_000_000  # of weights; each process loads them


@dataclass(frozen=True)
class Task:
    """What one process does without a pause: exams of a checkpoint that share a preparation.

    Attributes:
        who: "model", "oracle" or "original".
        exams: None stands for the tasks without a stress.
    """

    who: str
    exams: tuple[str | None, ...]


@dataclass(frozen=True)
class Done:
    """What came of a task: exam to its record, and who the checkpoint is, by its files."""

    task: Task
    records: Mapping[str, ExamRecord]
    info: ModelInfo


@dataclass
class Room:
    """Where the checkpoints of a panel sit their exams; one of them is loaded at a time."""

    spec: StressSpec
    plan: Plan
    chosen: Sequence[Exam]
    sources: Mapping[str, subject.Source]
    folder: Path
    progress: Progress = field(default_factory=Progress)
    _sitting: Sitting | None = None

    def do(self, task: Task) -> Done:
        """Do the exams of a task."""
        sitting, exams = self._of(task.who), {exam.name: exam for exam in self.chosen}
        records = {name or UNSTRESSED: sitting.sit(exams[name] if name else None) for name in task.exams}
        return Done(task, records, sitting.info)

    def _of(self, who: str) -> Sitting:
        if self._sitting is None or self._sitting.who != who:
            self.close()
            run, folder = self.spec.checkpoints()[who], folder_of(self.spec, who, self.folder)
            self._sitting = Sitting(
                self.spec, self.plan, who, run, self.sources[who], folder, self.progress, self.chosen
            )
        return self._sitting

    def close(self) -> None:
        """Let the loaded checkpoint go."""
        if self._sitting is not None:
            self._sitting.close()
            self._sitting = None
            gc.collect()


def folder_of(spec: StressSpec, who: str, folder: Path) -> Path:
    """Where the exams of a checkpoint are kept."""
    return folder if who == "model" else spec.controls or folder


def do_all(room: Room, jobs: int) -> Iterator[Done]:
    """Do every exam of every checkpoint.

    Raises:
        UserError: if a process ends before its work is done.
    """
    plain = [Task(who, (None,)) for who in room.sources]
    stressed = [
        Task(who, tuple(exam.name for exam in together))
        for who in room.sources
        for _, together in groupby(room.chosen, key=lambda exam: exam.prepared)
    ]
    if jobs == 1:
        try:
            yield from map(room.do, sorted([*plain, *stressed], key=lambda task: list(room.sources).index(task.who)))
        finally:
            room.close()
        return
    room.progress.total(sum(len(task.exams) for task in (*plain, *stressed)))
    longest_first = sorted(stressed, key=lambda task: -_weight(task, room.chosen))
    try:
        with processes(jobs, _enter, room.spec, room.folder, jobs) as pool:
            for tasks in (plain, longest_first):  # an exam compares with the answers without a stress
                for future in as_completed(submit(pool, _do, tasks)):
                    done = future.result()
                    room.progress.stage(f"{done.task.who}: {done.task.exams[-1] or UNSTRESSED}")
                    room.progress.answers(len(done.task.exams))
                    yield done
    except BrokenProcessPool:
        raise UserError(
            "a process ended before its exams were done (is the memory enough?)",
            hint="start the same command again with --jobs 1; finished exams are not done again",
        ) from None


def _weight(task: Task, chosen: Sequence[Exam]) -> int:
    """About how long a task takes, in passes of the questions."""
    passes = {exam.name: exam.passes for exam in chosen}
    return sum(passes[name] for name in task.exams if name)


def jobs_of(spec: StressSpec, plan: Plan, chosen: Sequence[Exam], sources: Mapping[str, subject.Source]) -> int:
    """How many processes share a panel where nobody says it.

    One on an accelerator or for checkpoints of more than 200 MB, which each process loads; else one for every thousand
    answers, at most one for each core.
    """
    if spec.jobs is not None:
        return spec.jobs
    if max(source.weights.nbytes for source in sources.values()) > MOST_BYTES or _accelerated(spec):
        return 1
    questions = sum(len(asked.rows) for asked in plan.question_sets.values())
    answers = questions * len(sources) * sum(exam.passes for exam in chosen)
    return max(1, min(os.cpu_count() or 1, answers // ANSWERS_A_PROCESS))


def _accelerated(spec: StressSpec) -> bool:
    import torch

    return torch.cuda.is_available() if spec.run.device is None else spec.run.device != "cpu"


_room: Room | None = None  # of a process that was started for its exams


def _enter(spec: StressSpec, folder: Path, jobs: int) -> None:
    """Begin a process; the cores are shared."""
    global _room
    import torch

    from unlearn_bench.harness.quiet import quiet_libraries
    from unlearn_bench.harness.stress import room_for

    quiet_libraries(bars=False)
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    _room = room_for(spec, folder)


def _do(task: Task) -> Done:
    assert _room is not None
    return _room.do(task)
