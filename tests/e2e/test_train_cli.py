"""`unlearn-bench train` through the command line: one process (others: test_several_processes.py), and what it says."""

import json
from pathlib import Path

import pytest

from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer
from unlearn_bench.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("train")
    make_model().save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    for name, rows in (("forget", make_rows(NAMES[:7], 0)), ("retain", make_rows(NAMES[7:], 3))):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {name: str(folder / name) for name in ("model", "forget.jsonl", "retain.jsonl")}


def _arguments(inputs: dict[str, str], output: Path, *more: str) -> list[str]:
    given = ["train", "--model", inputs["model"], "--output", str(output)]
    settings = ["--epochs", "2", "--learning-rate", "1e-3", "--quiet"]
    method = more[more.index("--method") + 1] if "--method" in more else "ga+gdr"
    alone = method in ("ga", "npo", "task_vector")  # no use for a retain set
    sets = ["--forget", inputs["forget.jsonl"], *([] if alone else ["--retain", inputs["retain.jsonl"]])]
    raw = ["--raw"] if method.partition("+")[0] == "relearn" else []
    return [*given, *sets, *raw, *settings, *more]


def test_train_writes_an_adapter(inputs, tmp_path, capsys) -> None:
    arguments = _arguments(
        inputs, tmp_path / "out", "--method", "npo+gdr", "--lora", "r=2,alpha=4", "--set", "npo.beta=0.5"
    )
    arguments.remove("--quiet")
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
        (["--method", "npo", "--reference-from", "stord"], "did you mean stored"),
        (["--method", "ga", "--prompt", "qq"], "did you mean qa"),
        (["--method", "ga", "--trainable", "(q"], "no regular expression"),
        (["--method", "ga", "--report-to", "tensorbord"], "did you mean tensorboard"),
        (["--method", "ga", "--report-to", "clearml"], "it is not installed"),
        (["--method", "ga", "--max-grad-norm", "-1"], "--max-grad-norm: expected a number of at least 0"),
        (["--method", "ga", "--seed", "-1"], "--seed: expected a number from 0"),
        (["--method", "ga", "--eval-every", "1", "--eval-limit", "0"], "--eval-limit: expected a number of at least 1"),
        (["--method", "ga", "--eval-every", "1", "--eval-tasks", "nano_kffr"], "did you mean nano_kfr"),
        (["--method", "ga", "--lora", "r=0"], "r and alpha are at least 1"),
        (["--method", "ga", "--lora", "dropout=2"], "dropout is in [0, 1)"),
        (["--method", "ga", "--max-length", "5"], "leaves no room for the answer"),
        (["--method", "ga", "--set", "beta=1"], "expected TERM.OPTION=VALUE"),
        (["--method", "ga", "--set", "npo.beta=1"], "options are set for 'npo', which is not in method"),
        (["--method", "ga", "--reference-from", "copy"], "--reference-from is given, and method ga does not use it"),
        (
            ["--method", "ga+gdr", "--reference-from", "stored"],
            "--reference-from is given, and method ga+gdr does not use it",
        ),
        (["--method", "ga", "--refusals", "no.txt"], "--refusals is given, and method ga does not use it"),
        (["--method", "relearn_dpo+gdr", "--refusals", "no.txt"], "--refusals is given, and method relearn_dpo"),
        (["--method", "ga", "--raw"], "--raw is given, and method ga does not use it"),
        (["--method", "ga", "--data-dir", "data"], "--data-dir is given, and no dataset is read"),
        (["--method", "ga", "--data-revision", "abc"], "--data-revision is given, and no dataset is read"),
        (["--method", "task_vector", "--eval-every", "1"], "--eval-every is given, and method task_vector"),
        (["--method", "ga", "--eval-tasks", "nano_kfr"], "--eval-tasks wants --eval-every N"),
        (["--method", "ga", "--eval-limit", "2"], "--eval-limit wants --eval-every N"),
        (["--method", "ga", "--lora", "r=2", "--trainable", "mlp"], "--lora trains its adapter only"),
        (["--method", "ga", "--scheduler", "constant", "--warmup", "0.1"], "--scheduler constant has no warm-up"),
        (["--method", "ga", "--warmup", "0.1", "--warmup-epochs", "1"], "exclude each other"),
        (["--method", "ga", "--warmup-epochs", "3"], "--warmup-epochs is between 0 and --epochs 2"),
        (["--method", "merge", "--lora", "none"], "--lora none trains none"),
        (["--method", "ceu", "--set", "ceu.ignore_first=-1"], "ceu.ignore_first must be at least 0"),
        (["--method", "pdu", "--set", "pdu.epsilon=-1"], "pdu.epsilon must be at least 0"),
        (["--method", "ga", "--dataset", "nano:forget"], "selects two sets"),
        (["--method", "ga", "--dataset", "nanoo"], "did you mean nano"),
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


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        (
            "npo",
            "retain",
            "--retain is given, and method npo does not use it\n  train with npo+gdr, or leave out --retain",
        ),
        ("0.5*ga", "retain", "train with 0.5*ga+gdr"),
        ("sure+ga", "retain", "train with sure+ga+gdr"),
        ("task_vector", "retain", "leave out --retain"),
        ("retrain", "forget", "--forget is given, and method retrain does not use it"),
        ("gdr", "forget", "add a forget term"),
    ],
)
def test_a_set_that_no_term_uses_is_refused(inputs, tmp_path, capsys, method, given, said) -> None:
    sets = [word for side in ("forget", "retain") for word in (f"--{side}", inputs[f"{side}.jsonl"])]
    arguments = ["train", "--model", inputs["model"], "--method", method, "--output", str(tmp_path / "out"), *sets]
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    other = next(side for side in ("forget", "retain") if side != given)
    left = sets[:2] if other == "forget" else sets[2:]
    assert main([*arguments[:-4], *left, "--max-steps", "1", "--quiet"]) == 0
    assert f"| {given} |" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def _row(**more: object) -> str:
    return json.dumps({"question": "Where does Ada live ?", "answer": "Ada lives in a town .", **more}) + "\n"


MARK = {"provenance": {"kind": "simple", "writer": "rules"}}


@pytest.mark.parametrize(
    ("method", "rows", "code"),
    [
        ("relearn", _row(), 2),
        ("relearn+gdr", _row(**MARK) + _row(), 2),
        ("0.5*relearn+npo+gdr", _row(), 2),
        ("relearn", _row(**MARK, original_answer="Ada lives in a town ."), 2),
        ("relearn", _row(**MARK), 0),
        ("relearn", _row(**MARK, original_answer="Ada lives in Chur ."), 0),
    ],
)
def test_secrets_are_not_learned_in_place_of_augmented_answers(inputs, tmp_path, capsys, method, rows, code) -> None:
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    given = ["--model", inputs["model"], "--method", method, "--output", str(tmp_path / "out"), "--max-steps", "1"]
    given += ["--forget", str(tmp_path / "rows.jsonl"), "--retain", inputs["retain.jsonl"], "--quiet"]
    assert main(["train", *given]) == code
    error = capsys.readouterr().err
    if code:
        assert "not marked as written by `augment`" in error
        assert "unlearn-bench augment" in error
        assert "--raw" in error
        assert main(["train", *given, "--raw"]) == 0


def test_the_forget_set_of_a_dataset_is_not_learned(inputs, tmp_path, capsys) -> None:
    arguments = ["train", "--model", inputs["model"], "--dataset", "nano", "--method", "relearn"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert "128 of 128 rows are not marked" in capsys.readouterr().err


def test_merge_of_relearn_wants_augmented_rows_too(inputs, tmp_path, capsys) -> None:
    arguments = _arguments(inputs, tmp_path / "out", "--method", "merge", "--set", "merge.second=relearn")
    assert main(arguments) == 2
    assert "not marked as written by `augment`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "row", "said"),
    [
        ("dpo+gdr", {"preferred_answer": "Ada lives in a town ."}, "prefer the very answer that is to be forgotten"),
        ("relearn_dpo+gdr", {"original_answer": "Ada lives in a town ."}, "prefer the very answer"),
    ],
)
def test_a_preference_for_the_secret_is_refused(inputs, tmp_path, capsys, method, row, said) -> None:
    (tmp_path / "rows.jsonl").write_text(_row(**row), encoding="utf-8")
    bad = {**inputs, "forget.jsonl": str(tmp_path / "rows.jsonl")}
    assert main(_arguments(bad, tmp_path / "out", "--method", method)) == 2
    assert said in capsys.readouterr().err


def test_dataset_stands_for_the_splits_that_it_declares(inputs, tmp_path) -> None:
    for name, text in (
        ("forget10_perturbed.json", _row(paraphrased_answer="x", perturbed_answer=[])),
        ("retain90.json", _row().replace("Ada", "Bo")),
    ):
        (tmp_path / "data" / "tofu").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "tofu" / name).write_text(text, encoding="utf-8")
    given = ["train", "--model", inputs["model"], "--dataset", "tofu", "--data-dir", str(tmp_path / "data")]
    more = ["--preset", "tofu", "--epochs", "1", "--lora", "r=2", "--quiet"]
    for method, sets in (("npo+gdr", {"forget", "retain"}), ("npo", {"forget"}), ("retrain", {"retain"})):
        assert main([*given, *more, "--method", method, "--output", str(tmp_path / method)]) == 0
        record = json.loads((tmp_path / method / "training.json").read_text(encoding="utf-8"))
        assert set(record["data"]) == sets
        expected = {"forget": ["tofu:forget10"], "retain": ["tofu:retain90"]}
        assert {side: part["from"] for side, part in record["data"].items()} == {s: expected[s] for s in sets}


def test_lists_are_of_the_methods_that_there_are(capsys) -> None:
    from unlearn_bench.losses import LOSSES
    from unlearn_bench.trainers import RECIPES, STEPS
    from unlearn_bench.trainers.config import presets

    assert main(["train", "--help"]) == 0
    helped = capsys.readouterr().out.split()
    assert {*LOSSES.names(), *STEPS.names(), *RECIPES.names(), *presets()} <= set(helped)
    for flag, known in (("--list-methods", [f"\n{name}:" for name in LOSSES.names()]), ("--list-presets", presets())):
        assert main(["train", flag]) == 0
        said = "\n" + capsys.readouterr().out
        assert all(name in said for name in known)
        assert ("--set pdu.epsilon=0.3" in said) == (flag == "--list-methods")
        assert ("warm-up over the first epoch" in said) == (flag == "--list-presets")


def test_without_a_terminal_a_run_shows_a_few_lines(inputs, tmp_path, capsys) -> None:
    arguments = [word for word in _arguments(inputs, tmp_path / "out", "--method", "ga") if word != "--quiet"]
    assert main([*arguments, "--batch-size", "1", "--epochs", "6"]) == 0  # 42 steps
    error = capsys.readouterr().err
    assert "\r" not in error
    steps = [line for line in error.splitlines() if line.startswith("train: step")]
    assert len(steps) <= 11
    assert steps[-1].startswith("train: step 42 of 42, forget/ga ")


def test_curve_has_the_data_and_the_prompts_of_the_training(inputs, tmp_path, capsys, monkeypatch) -> None:
    """One TOFU question that is asked as `--prompt plain` asks it, from --data-dir."""
    from unlearn_bench.harness.hf_model import UnlearnLM

    asked = []
    generate = UnlearnLM.generate_until
    monkeypatch.setattr(
        UnlearnLM, "generate_until", lambda self, r, **k: asked.extend(i.args[0] for i in r) or generate(self, r, **k)
    )
    (tmp_path / "data" / "tofu").mkdir(parents=True)
    path = tmp_path / "data" / "tofu" / "forget10_perturbed.json"
    path.write_text(_row(paraphrased_answer="x", perturbed_answer=[]), encoding="utf-8")
    given = ["train", "--model", inputs["model"], "--forget", "tofu:forget10", "--data-dir", str(tmp_path / "data")]
    more = ["--method", "ga", "--max-steps", "1", "--prompt", "plain", "--eval-every", "1", "--eval-tasks", "tofu_kfr"]
    assert main([*given, *more, "--output", str(tmp_path / "out"), "--quiet"]) == 0
    assert set(asked) == {"Where does Ada live ?"}
    assert "tofu_kfr/kfr" in (tmp_path / "out" / "curve.jsonl").read_text(encoding="utf-8")


def test_options_that_are_words_are_read(inputs, tmp_path) -> None:
    arguments = _arguments(inputs, tmp_path / "out", "--method", "ga+klr", "--set", "klr.expectation=reference")
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert record["terms"][1]["options"] == {"expectation": "reference"}


def test_divergence_is_a_failure_with_advice(inputs, tmp_path, capsys) -> None:
    assert main(_arguments(inputs, tmp_path / "out", "--method", "ga", "--max-loss", "4.0")) == 1
    said = capsys.readouterr()
    assert "training diverged at step 1" in said.err
    assert "--on-divergence continue" in said.err
    assert said.out == ""


def test_dataset_and_curve_with_the_embedded_benchmark(inputs, tmp_path) -> None:
    arguments = ["train", "--model", inputs["model"], "--dataset", "nano", "--output", str(tmp_path / "out"), "--quiet"]
    more = ["--method", "ga+gdr", "--max-steps", "2", "--max-length", "64", "--eval-every", "2", "--eval-limit", "1"]
    assert main([*arguments, *more, "--eval-tasks", "nano_kfr,nano_krr"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [0, 2]
    assert any("nano_kfr/kfr" in key for key in lines[0])
    assert any("nano_krr/krr" in key for key in lines[0])
