"""Logs of likelihoods through `score`: against an oracle, without one, and with one that was asked otherwise."""

import json
import math
from pathlib import Path

import pytest

from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.profiles import build_parts, scorer_info
from unlearn_bench.harness.score import Outcome, ScoreSpec, score
from unlearn_bench.results import write_results
from unlearn_bench.summaries.aggregate import metrics

ROWS = 12


def log(path: Path, shift: float = 0.0, **changes: object) -> Path:
    """A log of open-unlearning about `ROWS` questions; `shift` is what the model knows less."""
    by_index = {"forget_Q_A_ROUGE": {}, "forget_Q_A_Prob": {}, "forget_Q_A_PARA_Prob": {}, "forget_Q_A_PERT_Prob": {}}
    for i in range(ROWS):
        wave = math.sin(i)
        row = {"input": f"Question: Who is number {i}?\nAnswer:", "ground_truth": f"Ann {i}", "generation": "Bo"}
        by_index["forget_Q_A_ROUGE"][str(i)] = row
        by_index["forget_Q_A_Prob"][str(i)] = {"avg_loss": 1 + shift + wave / 4}
        by_index["forget_Q_A_PARA_Prob"][str(i)] = {"avg_loss": 1 + shift + wave / 3}
        by_index["forget_Q_A_PERT_Prob"][str(i)] = {"avg_loss": [2.0, 2.5 + wave]}
    document = {name: {"value_by_index": rows} for name, rows in by_index.items()} | changes
    path.write_text(json.dumps(document))
    return path


def scored(path: Path, oracle: Path | None = None) -> Outcome:
    return score(ScoreSpec((path,), oracle=oracle))


def test_an_oracle_may_be_a_log_or_its_result(tmp_path: Path) -> None:
    model, oracle = log(tmp_path / "model_EVAL.json"), log(tmp_path / "oracle_EVAL.json", 1.5)
    by_log = scored(model, oracle).result.tasks["summary"].metrics
    assert 0 < by_log["forget_quality"].value < 0.05
    assert by_log["forget_shift"].value == pytest.approx(-1.5)
    outcome = scored(oracle)
    write_results(tmp_path / "oracle", outcome.result, outcome.samples)
    for path in (tmp_path / "oracle", tmp_path / "oracle" / "result.json"):
        assert scored(model, path).result.tasks["summary"].metrics == by_log


def test_without_an_oracle_the_numbers_are_unscored(tmp_path: Path) -> None:
    found = scored(log(tmp_path / "model_EVAL.json")).result
    summary = found.tasks["summary"].metrics
    assert {"forget_quality", "forget_ks", "model_utility", "mia_loss", "privleak"} <= set(summary) <= set(metrics())
    assert summary["forget_quality"].value is None
    assert summary["forget_quality"].unscored_reasons == {"no_oracle": ROWS}
    assert found.tasks["forget_Q_A"].metrics["probability"].value is not None
    assert "extraction_strength" not in found.tasks["forget_Q_A"].metrics  # the log has none


def test_numbers_of_a_log_have_a_fingerprint_of_their_own(tmp_path: Path) -> None:
    rows = {"value_by_index": {str(i): {"score": 0.25} for i in range(ROWS)}}
    with_log = scored(log(tmp_path / "a_EVAL.json", extraction_strength=rows)).result.tasks["forget_Q_A"].scorer
    assert with_log.parts["logged"] == "extraction_strength"
    own = scorer_info(build_parts("offline"), ["extraction_strength", "probability"])
    assert with_log.metrics["extraction_strength"] != own.metrics["extraction_strength"]
    assert with_log.metrics["probability"] == own.metrics["probability"]


def test_undefined_summaries_do_not_leave_a_gate_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["score", str(log(tmp_path / "model_EVAL.json")), "--metrics", "probability,rouge", "--quiet"]
    assert main([*command, "--output", str(tmp_path / "a")]) == 0
    assert main(["check", "--baseline", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert main(["verify", str(tmp_path / "a"), "--rescore"]) == 0
    assert "problems 0" in capsys.readouterr().out


def test_the_oracle_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    model = log(tmp_path / "model_EVAL.json")
    oracles = [log(tmp_path / f"o{i}_EVAL.json", 1.0 + i) for i in range(2)]
    one, two = (scored(model, oracle).result.tasks["summary"].scorer.metrics for oracle in oracles)
    assert one["forget_quality"] != two["forget_quality"]
    assert one["model_utility"] == two["model_utility"]


def test_an_oracle_that_was_asked_otherwise_is_refused(tmp_path: Path) -> None:
    model = log(tmp_path / "model_EVAL.json")
    rows = json.loads(model.read_text())
    rows["forget_Q_A_ROUGE"]["value_by_index"]["3"]["ground_truth"] = "Cy"
    other = log(tmp_path / "other_EVAL.json", **rows)
    with pytest.raises(UserError) as refused:
        scored(model, other)
    assert "forget_Q_A: 1 rows other texts: forget_Q_A-3" in str(refused.value.hint)
    del rows["forget_Q_A_ROUGE"]
    with pytest.raises(UserError, match="was not asked as the model was"):
        scored(model, log(tmp_path / "fewer_EVAL.json", forget_Q_A_ROUGE={"value_by_index": {}}))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, oracle = log(tmp_path / "model_EVAL.json"), log(tmp_path / "oracle_EVAL.json", 1.5)
    command = ["score", str(model), "--metrics", "probability,truth_ratio"]
    assert main([*command, "--oracle", str(oracle), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "forget_quality" in printed
    assert "oracle_EVAL" in (tmp_path / "out" / "result.json").read_text()
    assert main([*command, "--oracle", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
