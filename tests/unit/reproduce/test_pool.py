"""Work shared among processes of which some are killed."""

import os
from functools import partial
from operator import call

import pytest

from unlearn_bench.reproduce import pool


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_process_costs_the_piece_that_kills_it_and_no_other(jobs, monkeypatch, capfd):
    monkeypatch.setattr(pool, "one_thread", dict)
    kill = partial(os._exit, 9)  # as the system does where memory runs out
    work = [partial(abs, -1), kill, partial(abs, -2), partial(abs, -3), kill, partial(abs, -4)]
    reported = []
    failed = pool.run_each(work, call, jobs=jobs, report=lambda one, outcome: reported.append((one, outcome)))
    reason = "its process ended before the work was done (is the memory enough?)"
    assert failed == [(kill, reason)] * 2
    assert len(reported) == len(work)
    assert sorted(n for _, n in reported if n != reason) == [1, 2, 3, 4]
    assert ("one at a time" in capfd.readouterr().err) == (jobs == 2)
