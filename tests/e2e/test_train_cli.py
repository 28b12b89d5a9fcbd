"""`unlearn-bench train` through the command line: one process, several processes, and what it says."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer, trajectory, weights
from unlearn_bench.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("train")
    make_model().save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    for name, rows in (("forget", make_rows(NAMES[:7], 0)), ("retain", make_rows(NAMES[7:], 3))):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {name: str(folder / name) for name in ("model", "forget.jsonl", "retain.jsonl")}


def _arguments(inputs: dict[str, str], output: Path, *more: str) -> list[str]:
    given = ["train", "--model", inputs["model"], "--forget", inputs["forget.jsonl"], "--output", str(output)]
    settings = ["--retain", inputs["retain.jsonl"], "--epochs", "2", "--learning-rate", "1e-3", "--quiet"]
    return [*given, *settings, *more]


def test_train_writes_an_adapter(inputs, tmp_path, capsys) -> None:
    arguments = _arguments(
        inputs, tmp_path / "out", "--method", "npo+gdr", "--lora", "r=2,alpha=4", "--set", "npo.beta=0.5"
    )
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "4 steps" in said
    assert "forget/npo" in said
    record = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert record["terms"][0]["options"] == {"beta": 0.5}
    assert record["hyperparameters"]["lora"] == {"r": 2, "alpha": 4, "dropout": 0.1}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "relern"], "did you mean"),
        (["--method", "ga", "--set", "ga"], "expected TERM.OPTION=VALUE"),
        (["--method", "ga", "--lora", "r=2,q=1"], "LoRA setting"),
        (["--method", "ga", "--preset", "tufo"], "did you mean tofu"),
        (["--method", "ga", "--forget", "nowhere.json"], "neither a file nor"),
        (["--method", "npo+"], "cannot read ''"),
        (["--method", "npo gdr"], "cannot read 'npo gdr'"),
        (["--method", "ga", "--set", "ga.beta=1"], "ga has no options"),
        (["--method", "npo", "--set", "npo.betta=1"], "did you mean beta"),
        (["--method", "npo", "--set", "npo.beta=abc"], "npo.beta: expected a number"),
        (["--method", "npo", "--set", "npo.beta=0"], "npo.beta must be above 0"),
        (["--method", "ga+klr", "--set", "klr.expectation=released"], "known: policy, reference"),
        (["--method", "rmu", "--set", "rmu.layer=x"], "rmu.layer: expected a whole number"),
        (["--method", "rmu"], "the model has layers 0 to 2"),
        (["--method", "merge", "--set", "merge.first=npoo"], "did you mean npo"),
        (["--method", "task_vector", "--set", "task_vector.alpha=x"], "expected a number"),
        (["--method", "ga", "--scheduler", "linaer"], "did you mean linear"),
        (["--method", "npo", "--reference", "stord"], "did you mean stored"),
        (["--method", "ga", "--style", "qq"], "did you mean qa"),
        (["--method", "ga", "--trainable", "(q"], "no regular expression"),
        (["--method", "ga", "--report-to", "tensorbord"], "did you mean tensorboard"),
        (["--method", "ga", "--report-to", "clearml"], "it is not installed"),
        (["--method", "ga", "--max-grad-norm", "-1"], "--max-grad-norm must be at least 0"),
        (["--method", "ga", "--seed", "-1"], "--seed must be at least 0"),
        (["--method", "ga", "--eval-every", "1", "--eval-limit", "0"], "--eval-limit must be at least 1"),
        (["--method", "ga", "--eval-every", "1", "--eval-tasks", "nano_kffr"], "did you mean nano_kfr"),
        (["--method", "ga", "--lora", "r=0"], "r and alpha are at least 1"),
        (["--method", "ga", "--lora", "dropout=2"], "dropout is in [0, 1)"),
        (["--method", "ga", "--max-length", "5"], "leaves no room for the answer"),
    ],
)
def test_mistakes_are_answered_without_a_traceback(inputs, tmp_path, capsys, more, said) -> None:
    assert main(_arguments(inputs, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) <= 2  # the message, and what to type


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows in"),
        ('{"question": "Where ?", "answer": " "}', "'answer' must be a non-empty text"),
        ('{"question": "Where ?"}', "no 'answer'"),
    ],
)
def test_forget_files_without_pairs_are_refused(inputs, tmp_path, capsys, text, said) -> None:
    (tmp_path / "bad.jsonl").write_text(text, encoding="utf-8")
    bad = {**inputs, "forget.jsonl": str(tmp_path / "bad.jsonl")}
    assert main(_arguments(bad, tmp_path / "out", "--method", "ga")) == 2
    assert said in capsys.readouterr().err


def test_one_set_cannot_be_forgotten_and_retained(inputs, tmp_path, capsys) -> None:
    same = {**inputs, "retain.jsonl": inputs["forget.jsonl"]}
    assert main(_arguments(same, tmp_path / "out", "--method", "ga+gdr")) == 2
    assert "the same pairs" in capsys.readouterr().err


def test_options_that_are_words_are_read(inputs, tmp_path) -> None:
    arguments = _arguments(inputs, tmp_path / "out", "--method", "ga+klr", "--set", "klr.expectation=reference")
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert record["terms"][1]["options"] == {"expectation": "reference"}


def test_divergence_is_a_failure_with_advice(inputs, tmp_path, capsys) -> None:
    assert main(_arguments(inputs, tmp_path / "out", "--method", "ga", "--max-loss", "4.0")) == 1
    said = capsys.readouterr()
    assert "training diverged at step 1" in said.out + said.err
    assert "--on-divergence continue" in said.out + said.err


def test_dataset_and_curve_with_the_embedded_benchmark(inputs, tmp_path) -> None:
    arguments = ["train", "--model", inputs["model"], "--dataset", "nano", "--output", str(tmp_path / "out"), "--quiet"]
    more = ["--method", "ga+gdr", "--max-steps", "2", "--max-length", "64", "--eval-every", "2", "--eval-limit", "1"]
    assert main([*arguments, *more, "--eval-tasks", "nano_kfr,nano_krr"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [0, 2]
    assert any("nano_kfr/kfr" in key for key in lines[0])
    assert any("nano_krr/krr" in key for key in lines[0])


def _launch(module: str, arguments: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Two processes over gloo."""
    ports = ["--num_processes", "2", "--main_process_port", _free_port()]
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *ports, *options, "-m", module, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )


def _same(one: Path, two: Path) -> None:
    record = json.loads((two / "training.json").read_text(encoding="utf-8"))
    assert record["hyperparameters"]["processes"] == 2
    for a, b in zip(trajectory(one), trajectory(two), strict=True):
        for name in (key for key in a if "/" in key or key == "loss"):
            assert a[name] == pytest.approx(b[name], rel=5e-5, abs=1e-6), name
    found = weights(two)
    for name, value in weights(one).items():
        assert (value - found[name]).abs().mean() < 1e-6, name
        assert torch.isfinite(value).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["relearn", "memflex+npo+gdr", "pdu", "sure+ga+gdr"])
def test_two_processes_with_batch_2_equal_one_with_batch_4(inputs, tmp_path, method: str) -> None:
    assert main(_arguments(inputs, tmp_path / "one", "--method", method, "--batch-size", "4")) == 0
    double = _arguments(inputs, tmp_path / "two", "--method", method, "--batch-size", "2")
    # --multi_gpu means "one process each, over torchrun"; on a machine without GPUs the backend is gloo.
    done = _launch(
        "unlearn_bench",
        double,
        "--multi_gpu",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(" steps in ") == 1  # one process speaks
    _same(tmp_path / "one", tmp_path / "two")


def _sharded(tmp_path: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """FSDP2 with the example configuration, on CPUs."""
    text = (ROOT / "unlearn_bench/trainers/accelerate/fsdp.yaml").read_text(encoding="utf-8")
    config = tmp_path / "fsdp.yaml"
    config.write_text(text.replace("use_cpu: false", "use_cpu: true"), encoding="utf-8")
    return _launch("tests.fsdp_cpu", arguments, "--config_file", str(config))


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--method", "npo+gdr"], ["--method", "relearn", "--lora", "r=2,alpha=4,dropout=0"]])
def test_sharded_over_two_processes_equals_one(inputs, tmp_path, more: list[str]) -> None:
    assert main(_arguments(inputs, tmp_path / "one", "--batch-size", "4", *more)) == 0
    done = _sharded(tmp_path, _arguments(inputs, tmp_path / "two", "--batch-size", "2", *more))
    assert done.returncode == 0, done.stderr[-3000:]
    _same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--method", "sure+ga+gdr"], ["--method", "ga+gdr", "--eval-every", "1"]])
def test_what_looks_at_whole_parameters_refuses_sharded_ones(inputs, tmp_path, more: list[str]) -> None:
    done = _sharded(tmp_path, _arguments(inputs, tmp_path / "two", *more))
    assert done.returncode != 0
    assert "looks at whole parameters" in done.stderr


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
