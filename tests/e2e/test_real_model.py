"""A real language model through the whole program: scored, trained, looked into, and the change judged by the gate."""

import json
from pathlib import Path

import pytest

from unlearn_bench import cli, results
from unlearn_bench.models.packaged import PACKAGED, SMOLLM2

pytestmark = pytest.mark.slow

ASKED = (
    "--tasks",
    "nano_kfr,nano_krr,nano_ls",
    "--limit",
    "4",
    "--max-gen-toks",
    "16",
    "--ppl-model",
    SMOLLM2,
    "--quiet",
)
ROWS = ("--forget", "nano:forget", "--retain", "nano:retain", "--lora", "r=4,alpha=8", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, smollm2: str) -> Path:
    """The packaged model before and after two steps of training an adapter on it."""
    folder = tmp_path_factory.mktemp("real")
    assert cli.main(["run", "--model", smollm2, *ASKED, "--output", str(folder / "before")]) == 0
    steps = ("--max-steps", "2", "--batch-size", "2")
    train = ["train", "--method", "ga+gdr", "--model", smollm2, *ROWS, *steps, "--output"]
    assert cli.main([*train, str(folder / "adapter"), "--learning-rate", "1e-5"]) == 0
    assert cli.main(["run", "--model", str(folder / "adapter"), *ASKED, "--output", str(folder / "after")]) == 0
    return folder


def test_the_result_says_which_model_was_judged_and_by_which(folder: Path) -> None:
    result = results.read_result(folder / "before")
    model = result.model
    assert (model.name, model.source, model.quantization, model.dtype) == (SMOLLM2, "package", "Q4_1", "float32")
    assert model.weights_sha256 == PACKAGED[SMOLLM2].sha256
    assert model.parameters == 134_515_008
    assert result.tasks["nano_ls"].scorer.parts["reference_lm"] == SMOLLM2
    metrics = {metric: value.value for task in result.tasks.values() for metric, value in task.metrics.items()}
    assert metrics["kfr"] >= 0.75  # it never read of these people
    assert 1 < metrics["perplexity"] < 30
    assert metrics["fluency"] > 0.3


def test_an_adapter_names_the_model_it_was_trained_on(folder: Path) -> None:
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == SMOLLM2
    model = results.read_result(folder / "after").model
    assert (model.adapter, model.adapter_dead) == ("adapter", False)
    assert model.weights_sha256 == PACKAGED[SMOLLM2].sha256


def test_two_small_steps_pass_the_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(folder / "after"), "--baseline", str(folder / "before")]) == 0
    assert "pass" in capsys.readouterr().out.lower()


def test_the_inside_of_a_real_model_has_numbers(folder: Path) -> None:
    asked = ("--tasks", "nano_kfr", "--limit", "1", "--diagnostics", "token_distribution,logit_lens", "--quiet")
    models = ("--model", str(folder / "adapter"), "--original", SMOLLM2)
    assert cli.main(["diagnose", *models, *asked, "--no-plots", "--output", str(folder / "inside")]) == 0
    found = json.loads((folder / "inside" / "diagnostics.json").read_text())
    assert sorted(found["tables"]) == ["logit_lens", "token_distribution"]
    assert 0 < found["tables"]["logit_lens"]["entity_formation_layer"]["value"] <= 30
