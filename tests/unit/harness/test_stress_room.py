"""Exams shared among processes: what is done by whom in which order, and when a second process is worth it."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.harness import stress_room
from unlearn_bench.harness.spec import RunSpec, StressSpec
from unlearn_bench.harness.stress import room_for
from unlearn_bench.harness.stress_room import Done, Task, do_all, jobs_of

PANEL = ("nf4", "forget8_s1", "forget8_s4", "t1")


class Pool:
    """In place of processes: does each task when it is given, and remembers it."""

    def __init__(self, jobs, context, initializer, initargs):
        Pool.begun, Pool.tasks, Pool.cancelled = (jobs, context.get_start_method()), [], False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def submit(self, call, task):
        Pool.tasks.append(task)
        future = Future()
        if Pool.fails_at == len(Pool.tasks):
            future.set_exception(Pool.fails_with)
        else:
            future.set_result(Done(task, {}, None))
        return future

    def shutdown(self, *, wait, cancel_futures):
        Pool.cancelled = cancel_futures


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.setattr("unlearn_bench.processes.ProcessPoolExecutor", Pool)
    Pool.fails_at = None
    spec = StressSpec(RunSpec(model="nano-relearn", tasks=("nano_forget",), device="cpu"), PANEL, oracle="nano-retain")
    return room_for(spec, tmp_path)


def test_processes_begin_with_what_exams_are_compared_with_and_then_with_the_longest(room):
    assert len(list(do_all(room, 2))) == 2 * 4
    assert Pool.begun == (2, "spawn")
    assert Pool.tasks[:2] == [Task("model", (None,)), Task("oracle", (None,))]
    assert [task.exams for task in Pool.tasks[2::2]] == [
        ("sampling/t1",),
        ("relearning/forget8_s1", "relearning/forget8_s4"),  # steps of one training
        ("quantization/nf4",),
    ]


def test_a_process_that_ends_early_is_told_with_what_to_do(room):
    Pool.fails_at, Pool.fails_with = 3, BrokenProcessPool()
    with pytest.raises(UserError, match="a process ended") as caught:
        list(do_all(room, 2))
    assert "--jobs 1" in caught.value.hint


def test_what_one_process_refuses_ends_all(room):
    Pool.fails_at, Pool.fails_with = 3, UserError("no")
    with pytest.raises(UserError, match="no"):
        list(do_all(room, 2))
    assert Pool.cancelled


def test_a_second_process_only_where_it_is_worth_its_start(room, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def jobs(spec):
        return jobs_of(spec, room.plan, room.chosen, room.sources)

    assert jobs(room.spec) == 1  # where nobody asks for more
    free = replace(room.spec, jobs=None)
    assert jobs(free) == 2
    assert jobs_of(free, room.plan, room.chosen[:1], room.sources) == 1
    assert jobs(replace(free, run=replace(free.run, device="cuda"))) == 1
    monkeypatch.setattr(stress_room, "MOST_BYTES", 1000)
    assert jobs(free) == 1
    assert jobs(replace(free, jobs=3)) == 3
