"""How long a user waits: `--help`, and the whole of `make demo`'s scoring part. Printed; run with `make benchmark`."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark


def _seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "unlearn_bench", *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def test_help_takes_under_half_a_second():
    seconds = min(_seconds("--help") for _ in range(5))
    print(f"\n--help: {seconds:.2f} s")
    assert seconds < 0.5


def test_demo_scores_in_under_30_seconds(tmp_path: Path):
    seconds = _seconds("run", "--output", str(tmp_path / "demo"), "--quiet")
    print(f"\nrun (nano-full on the nano group, models loaded and all): {seconds:.1f} s")
    assert seconds <= 30
