"""This project beside others' own code: the same weights, rows and tokens, each side in its own process.

    git clone https://github.com/locuslab/open-unlearning /somewhere/open-unlearning
    git clone https://github.com/zjunlp/unlearn /somewhere/relearn
    pip install omegaconf
    OPEN_UNLEARNING=/somewhere/open-unlearning RELEARN=/somewhere/relearn \\
        pytest --runbenchmarks tests/benchmarks/test_peers.py -s

| test | other side |
|---|---|
| likelihood | open-unlearning's evaluator |
| scoring | the released ReLearn evaluator |
| memory, multiple choice | open-unlearning's evaluator at its batch size; lm-eval's hf backend |
| npo | a training step of npo+gdr by open-unlearning's trainer |
| relearn | a training step of relearn+gdr by ReLearn's trainer |

Nothing of the others is part of this project. `UNLEARN_BENCH_PEER_ROWS` says how many rows of each of the likelihood's
five sets are read (default 8), `UNLEARN_BENCH_PEER_ANSWERS` how many answers are scored (default 300, all forget
answers of the log), `UNLEARN_BENCH_PEER_CHOICES` how many questions lm-eval's backend is asked (100). Values are
compared; time is CPU time after the model is loaded, memory the largest resident set of the process.
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
def open_unlearning() -> Path:
    pytest.importorskip("omegaconf", reason="open-unlearning needs omegaconf")
    return _clone("OPEN_UNLEARNING", "locuslab/open-unlearning", "src/evals/metrics")


@pytest.fixture(scope="module")
def relearn() -> Path:
    return _clone("RELEARN", "zjunlp/unlearn", "baselines/src")


def _clone(variable: str, repository: str, has: str) -> Path:
    pytest.importorskip("datasets", reason="the other side needs datasets")
    named = os.environ.get(variable)
    if not named or not (Path(named) / has).is_dir():
        pytest.skip(f"{variable} names no clone of github.com/{repository}")
    return Path(named)


def _measured(subject: str, side: str, *arguments: object) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.peers_worker", subject, side, *map(str, arguments)]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_likelihood_suite_beside_open_unlearnings_evaluator(
    open_unlearning: Path, shared_data: Path, smollm2: str
) -> None:
    rows = int(os.environ.get("UNLEARN_BENCH_PEER_ROWS", "8"))
    ours = _measured("likelihood", "ours", rows, shared_data)
    theirs = _measured("likelihood", "theirs", rows, shared_data, open_unlearning)
    faster, smaller = theirs["seconds"] / ours["seconds"], ours["peak_mib"] / theirs["peak_mib"]
    told = {name: f"{one['seconds']:.1f} s, {one['peak_mib']:.0f} MiB" for name, one in
            (("ours", ours), ("theirs", theirs))}  # fmt: skip
    print(f"\n{rows} rows of five sets, {told}: {faster:.1f} times as fast, {smaller:.2f} of the memory")
    assert len(theirs["values"]) == 20
    for name, values in theirs["values"].items():
        assert ours["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-4), name
    assert faster >= 3
    # 0.71 with 4 rows (1,001 of 1,416 MiB), so 0.6 is not reached with few rows: the weights (513 MiB) and what torch
    # and transformers import (about 435 MiB) are in both, and the other side's batches are small, too.
    assert smaller <= 0.75


def test_peak_memory_at_the_batch_size_of_open_unlearning(
    open_unlearning: Path, shared_data: Path, smollm2: str
) -> None:
    """32 rows, their `batch_size`: the logits of a batch are held whole there, and in blocks here."""
    ours = _measured("memory", "ours", 32, shared_data)
    theirs = _measured("memory", "theirs", 32, shared_data, open_unlearning)
    smaller = ours["peak_mib"] / theirs["peak_mib"]
    print(f"\n{ours['peak_mib']:.0f} MiB, theirs {theirs['peak_mib']:.0f} MiB: {smaller:.2f}")
    name = "forget/extraction_strength"
    assert ours["values"][name] == pytest.approx(theirs["values"][name], abs=1e-4)
    assert smaller <= 0.6


def test_multiple_choice_beside_lm_evals_hf_backend(shared_data: Path, smollm2: str) -> None:
    """Four options a question, half letters and half whole answers; lm-eval at the best batch size of five."""
    count = int(os.environ.get("UNLEARN_BENCH_PEER_CHOICES", "100"))
    ours = _measured("choice", "ours", count, shared_data)
    theirs = [_measured("choice", "theirs", count, shared_data, size) for size in (1, 2, 4, 16, 64)]
    best = min(theirs, key=lambda one: one["seconds"])
    faster = best["seconds"] / ours["seconds"]
    told = [round(one["seconds"], 1) for one in theirs]
    print(f"\n{count} questions: {ours['seconds']:.1f} s, lm-eval {told} s: {faster:.2f} times as fast")
    for name, values in best["values"].items():
        assert ours["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-3), name
    assert faster >= 1.5


def test_scoring_beside_the_released_evaluator_of_relearn(relearn: Path, shared_data: Path, smollm2: str) -> None:
    count = int(os.environ.get("UNLEARN_BENCH_PEER_ANSWERS", "300"))
    ours, theirs = _both("scoring", count, shared_data, relearn, blocks="block_seconds")
    assert len(theirs["coverage"]) == count
    for name in theirs.keys() - {"block_seconds"}:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("method", ["npo", "relearn"])
def test_a_training_step_beside_the_other_trainer(
    method: str, request: pytest.FixtureRequest, shared_data: Path, smollm2: str
) -> None:
    clone = request.getfixturevalue({"npo": "open_unlearning", "relearn": "relearn"}[method])
    ours, theirs = _both(method, 4, shared_data, clone, blocks="step_seconds")
    assert len(theirs["loss"]) > 1  # the second loss is that of the updated weights
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


def _both(subject: str, count: int, data: Path, clone: Path, *, blocks: str) -> tuple[dict, dict]:
    """Measure both sides, tell the ratios with their spread over blocks, and give back their values."""
    ours, theirs = _measured(subject, "ours", count, data), _measured(subject, "theirs", count, data, clone)
    pairs = zip(theirs["values"][blocks], ours["values"][blocks], strict=True)
    ratios = sorted(slow / fast for slow, fast in pairs)
    told = {name: f"{one['seconds']:.1f} s, {one['peak_mib']:.0f} MiB" for name, one in
            (("ours", ours), ("theirs", theirs))}  # fmt: skip
    print(
        f"\n{subject}, {told}: {theirs['seconds'] / ours['seconds']:.1f} times as fast (each {blocks[:5].strip('_')} "
        f"{ratios[0]:.1f} to {ratios[-1]:.1f}), {ours['peak_mib'] / theirs['peak_mib']:.2f} of the memory"
    )
    return ours["values"], theirs["values"]
