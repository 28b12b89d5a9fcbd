"""Ctrl-C or a kill in the middle of shared work: the processes end at once, and only the command speaks."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, time
from concurrent.futures import as_completed
from unlearn_bench.processes import processes, submit

def begin():
    os.write(1, b"begun ")

def sleep(seconds):
    time.sleep(seconds)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where a shell runs tests in the background
    try:
        with processes(2, begin) as pool:
            work = submit(pool, sleep, [600, 601])
            os.write(1, b"waiting ")
            for _ in as_completed(work):
                pass
    except KeyboardInterrupt:
        os.write(1, b"interrupted")
"""


@pytest.fixture
def begun(tmp_path):
    """A command whose two processes are at work, and what it has said."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    said = b""
    while said.count(b"begun") < 2 or b"waiting" not in said:
        said += (more := os.read(command.stdout.fileno(), 100))
        assert more, command.stderr.read()
    yield command, said
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)


def test_an_interrupted_command_ends_its_processes_without_their_tracebacks(begun):
    command, said = begun
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    more, errors = command.communicate(timeout=300)
    assert (command.returncode, (said + more).split()[-1], errors) == (0, b"interrupted", b"")


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_of_a_killed_command_end(begun, kill):
    command, _ = begun
    command.send_signal(kill)
    command.communicate(timeout=300)  # until nobody holds its output any more
    assert command.returncode == -kill
