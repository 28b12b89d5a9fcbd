"""Logs of open-unlearning that this program writes: read back they give the same numbers; the published ones too."""

import gzip
import json
from pathlib import Path

import pytest

from tests.unit.harness.test_score_oracle import log
from unlearn_bench.cli import main
from unlearn_bench.harness.score import ScoreSpec, score
from unlearn_bench.site.open_unlearning import evaluation, summary


def test_what_is_written_reads_back_alike(tmp_path: Path) -> None:
    oracle = log(tmp_path / "oracle_EVAL.json", 1.5)
    spec = ScoreSpec((log(tmp_path / "model_EVAL.json"),), oracle=oracle)
    first = score(spec)
    written = tmp_path / "again_EVAL.json"
    written.write_text(json.dumps(evaluation(first.result, first.samples)))
    second = score(ScoreSpec((written,), oracle=oracle))
    for task in first.result.tasks:
        assert second.result.tasks[task].metrics == first.result.tasks[task].metrics


def test_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = log(tmp_path / "model_EVAL.json")
    assert main(["score", str(model), "--output", str(tmp_path / "result"), "--quiet"]) == 0
    assert main(["export", str(tmp_path / "result"), "--to", "open-unlearning", "--output", str(tmp_path / "ou")]) == 0
    found = json.loads((tmp_path / "ou" / "TOFU_EVAL.json").read_text())
    assert found["forget_quality"] == {"agg_value": None}
    assert set(found["forget_Q_A_Prob"]["value_by_index"]["3"]) == {"prob", "avg_loss"}
    told = json.loads((tmp_path / "ou" / "TOFU_SUMMARY.json").read_text())
    assert "forget_quality" not in told
    assert told["forget_Q_A_Prob"] == found["forget_Q_A_Prob"]["agg_value"]
    (tmp_path / "result" / "samples.jsonl").unlink()
    capsys.readouterr()
    assert main(["export", str(tmp_path / "result"), "--to", "open-unlearning"]) == 2
    assert "samples" in capsys.readouterr().err


@pytest.mark.slow
def test_published_log_is_written_as_it_was(shared_data: Path) -> None:
    folder = shared_data / "open_unlearning"
    path = folder / "tofu_Llama-3.2-1B-Instruct_full_evals_forget01_TOFU_EVAL.json.gz"
    oracle = folder / "tofu_Llama-3.2-1B-Instruct_retain99_TOFU_EVAL.json.gz"
    outcome = score(ScoreSpec((path,), oracle=oracle))
    found = evaluation(outcome.result, outcome.samples)
    with gzip.open(path) as file:
        theirs = json.load(file)
    assert set(theirs) - set(found) == {"mia_reference"}
    for name, section in found.items():
        assert section["agg_value"] == pytest.approx(theirs[name]["agg_value"], rel=2e-6), name
        for key, row in section.get("value_by_index", {}).items():
            for field in {"score", "prob", "avg_loss", "ground_truth"} & set(row):
                expected = theirs[name]["value_by_index"][key][field]
                same = row[field] == pytest.approx(expected, rel=1e-5, abs=1e-9) if field != "ground_truth" else True
                assert same, (name, key, field)
    assert set(summary(found)) >= {"forget_quality", "model_utility", "privleak", "forget_Q_A_ROUGE"}
