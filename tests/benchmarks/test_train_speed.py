"""relearn with gdr and klr on a 50M-parameter Llama: speed, memory and values beside a plain implementation.

Seconds are CPU seconds of one thread, so that a busy machine does not decide; our pass over the rows for the
reference is part of them. Memory is the peak resident size of the whole process, Python and torch included.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parents[2]
STEPS = 3


def _measure(side: str, kind: str, steps: int) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.train_speed_worker", side, kind, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_relearn_is_fast_and_frugal(kind: str, record_property) -> None:
    plain, ours = _measure("plain", kind, STEPS), _measure("ours", kind, STEPS)
    speed = ours["samples_per_second"] / plain["samples_per_second"]
    memory = ours["peak_mib"] / plain["peak_mib"]
    for name, value in (("plain", plain), ("ours", ours), ("speed", speed), ("memory", memory)):
        record_property(name, value)
    print(f"\n{kind}: {speed:.1f} x samples/s, {memory:.2f} x peak memory\n  plain {plain}\n  ours  {ours}")
    assert 45e6 < ours["parameters"] < 55e6
    assert ours["losses"] == pytest.approx(plain["losses"], abs=1e-4)
    assert speed >= 4
    assert memory <= 0.65
