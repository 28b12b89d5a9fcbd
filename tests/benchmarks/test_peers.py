"""This project beside open-unlearning's own evaluator: the same weights, rows and tokens, each in its own process.

    git clone https://github.com/locuslab/open-unlearning /somewhere
    pip install omegaconf
    OPEN_UNLEARNING=/somewhere pytest --runbenchmarks tests/benchmarks/test_peers.py -s

Nothing of the other project is part of this one. `UNLEARN_BENCH_PEER_ROWS` says how many rows of each of the five sets
are read (default 8). Values are equal to 1e-4, absolute or relative; time is CPU time after the model is loaded, memory
the largest resident set of the process. lm-eval's hf backend is asked `UNLEARN_BENCH_PEER_CHOICES` questions (1,000).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone() -> Path:
    named = os.environ.get("OPEN_UNLEARNING")
    if not named or not (Path(named) / "src/evals/metrics").is_dir():
        pytest.skip("OPEN_UNLEARNING names no clone of github.com/locuslab/open-unlearning")
    pytest.importorskip("omegaconf", reason="open-unlearning's evaluator needs omegaconf")
    pytest.importorskip("datasets", reason="open-unlearning's evaluator needs datasets")
    return Path(named)


def _measured(subject: str, side: str, *arguments: object) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.peers_worker", subject, side, *map(str, arguments)]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_likelihood_suite_beside_open_unlearnings_evaluator(clone: Path, shared_data: Path, smollm2: str) -> None:
    rows = int(os.environ.get("UNLEARN_BENCH_PEER_ROWS", "8"))
    ours = _measured("likelihood", "ours", rows, shared_data)
    theirs = _measured("likelihood", "theirs", rows, shared_data, clone)
    faster, smaller = theirs["seconds"] / ours["seconds"], ours["peak_mib"] / theirs["peak_mib"]
    told = {name: f"{one['seconds']:.1f} s, {one['peak_mib']:.0f} MiB" for name, one in
            (("ours", ours), ("theirs", theirs))}  # fmt: skip
    print(f"\n{rows} rows of five sets, {told}: {faster:.1f} times as fast, {smaller:.2f} of the memory")
    assert len(theirs["values"]) == 20
    for name, values in theirs["values"].items():
        assert ours["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-4), name
    assert faster >= 3
    assert smaller <= 0.9  # the weights and Python are in both


def test_peak_memory_at_the_batch_size_of_open_unlearning(clone: Path, shared_data: Path, smollm2: str) -> None:
    """32 rows, their `batch_size`: the logits of a batch are held whole there, and in blocks here."""
    ours = _measured("memory", "ours", 32, shared_data)
    theirs = _measured("memory", "theirs", 32, shared_data, clone)
    smaller = ours["peak_mib"] / theirs["peak_mib"]
    print(f"\n{ours['peak_mib']:.0f} MiB, theirs {theirs['peak_mib']:.0f} MiB: {smaller:.2f}")
    name = "forget/extraction_strength"
    assert ours["values"][name] == pytest.approx(theirs["values"][name], abs=1e-4)
    assert smaller <= 0.6


def test_multiple_choice_beside_lm_evals_hf_backend(shared_data: Path, smollm2: str) -> None:
    """Four options a question, half letters and half whole answers; lm-eval at the best of four batch sizes."""
    count = int(os.environ.get("UNLEARN_BENCH_PEER_CHOICES", "1000"))
    ours = _measured("choice", "ours", count, shared_data)
    theirs = [_measured("choice", "theirs", count, shared_data, size) for size in (1, 4, 16, 64)]
    best = min(theirs, key=lambda one: one["seconds"])
    faster = best["seconds"] / ours["seconds"]
    told = [round(one["seconds"], 1) for one in theirs]
    print(f"\n{count} questions: {ours['seconds']:.1f} s, lm-eval {told} s: {faster:.2f} times as fast")
    for name, values in best["values"].items():
        assert ours["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-3), name
    assert faster >= 1.5
