"""A judge of known error rates: the corrected share holds the truth as often as its interval says."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fake_judge import FakeJudge, serving
from unlearn_bench.cli import main
from unlearn_bench.harness.judged import _correct, _counts
from unlearn_bench.judges.controls import cases, counted
from unlearn_bench.results import read_result
from unlearn_bench.schema import MetricValue, Sample

DRAWS = 1_000


@pytest.mark.slow
def test_through_a_server_the_corrected_share_holds_the_truth(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    truth = {
        (f"Where does person {i} live?", f"Answer {i}."): ("no", "yes")[int(rng.random() < 0.5)] for i in range(80)
    }
    rows = [
        {"question": q, "reference": f"In town {i}.", "response": a, "id": str(i)} for i, (q, a) in enumerate(truth)
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    forgotten = sum(verdict == "no" for verdict in truth.values()) / len(truth)
    with serving(FakeJudge(truth, {"yes": 0.3, "partly": 0.1, "no": 0.05}, seed=4)) as server:
        options = ["--judge", server.url, "--judge-model", "fake", "--judges", "forget", "--metrics", "kfr"]
        assert main(["score", str(path), "--role", "forget", "--output", str(tmp_path / "out"), *options]) == 0
    value = read_result(tmp_path / "out").tasks["answers_forget"].metrics["judge_forgotten"]
    assert value.value is not None
    assert value.value > forgotten + 0.08  # a judge that misses what is known finds too much forgotten
    assert value.corrected is not None
    assert abs(value.corrected.value - forgotten) < abs(value.value - forgotten)
    assert value.corrected.ci95[0] < forgotten < value.corrected.ci95[1]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_interval_holds_the_truth_at_its_nominal_rate(rate: float) -> None:
    """Sensitivity 0.9 and specificity 0.8 on the 40 planted cases and on 200 answers alike."""
    rng = np.random.default_rng(int(rate * 100))
    own = cases("forget")
    held = 0
    for _ in range(DRAWS):
        verdicts = [
            ("no" if rng.random() < 0.9 else "yes") if case.verdict == "no" else ("no" if rng.random() < 0.2 else "yes")
            for case in own
        ]
        controls = counted("forget", own, verdicts)
        judged = rng.random(200) < np.where(rng.random(200) < rate, 0.9, 0.2)
        value = MetricValue(value=float(judged.mean()), n=200)
        _correct(value, "judge_forgotten", SAMPLES, controls, _counts(controls))
        if value.corrected is not None:
            held += value.corrected.ci95[0] <= rate <= value.corrected.ci95[1]
    assert held / DRAWS >= 0.93


SAMPLES = [
    Sample(
        id=str(i), task="t", role="forget", question="Q", reference="R", response="A", scores={"judge_forgotten": 1.0}
    )
    for i in range(200)
]
