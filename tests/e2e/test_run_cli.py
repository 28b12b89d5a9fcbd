"""`unlearn-bench run`, as a user runs it: files, resume, other harnesses."""

import json
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import jsonschema
import pytest
from lm_eval.tasks import TaskManager

from tests.forked import exit_code_when_killed
from tests.tiny import ARCHITECTURES, save_tiny, tiny_model, tiny_tokenizer
from unlearn_bench import results
from unlearn_bench.schema import json_schema
from unlearn_bench.tasks_index import tasks_dir

LIMIT = ("--limit", 12)


def test_writes_a_valid_result_and_its_samples(run, capsys):
    code, folder = run()
    assert code == 0
    document = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    jsonschema.validate(document, json_schema())
    result, samples = results.read_result(folder), results.read_samples(folder)
    assert sorted(result.tasks) == ["tofu_kfr", "tofu_krr", "tofu_rouge"]
    assert len(samples) == 2 * 40, "one row an answer"
    assert {sample.task for sample in samples} == {"tofu_forget", "tofu_retain"}
    for name, task in result.tasks.items():
        assert len(results.samples_of(name, result, samples)) == task.n == 40
    assert result.samples_sha256 == results.samples_sha256(samples)
    assert result.tasks["tofu_kfr"].clusters.n == 2
    assert result.tasks["tofu_kfr"].metrics["kfr"].n == 40
    assert sorted(p.name for p in folder.iterdir()) == ["result.json", "samples.jsonl"]
    assert "tofu_kfr" in capsys.readouterr().out


def test_same_arguments_same_bytes(run):
    _, first = run(*LIMIT, output="a")
    _, second = run(*LIMIT, output="b")
    assert (first / "samples.jsonl").read_bytes() == (second / "samples.jsonl").read_bytes()
    assert results.read_result(first).fingerprint == results.read_result(second).fingerprint


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_scored(run, tmp_path, architecture):
    folder = save_tiny(tmp_path / architecture, architecture)
    code, output = run("--model", folder, *LIMIT, "--quiet")
    assert code == 0
    assert results.read_result(output).model.name == architecture


def test_tasks_that_share_prompts_generate_once(run, monkeypatch):
    from unlearn_bench.harness import hf_model as lm_model

    asked: list[int] = []
    real = lm_model.generate_greedy

    def count(model, prompts, **settings):
        asked.append(len(prompts))
        return real(model, prompts, **settings)

    monkeypatch.setattr(lm_model, "generate_greedy", count)
    run(*LIMIT, tasks="tofu_kfr,tofu_rouge")
    assert sum(asked) == 12


def test_other_metrics_beside_do_not_change_a_number(run):
    _, alone = run(*LIMIT, output="alone", tasks="tofu_kfr")
    _, beside = run(*LIMIT, output="beside", tasks="tofu_kfr,tofu_rouge,tofu_kfr_paraphrase")
    one, two = (results.read_result(f).tasks["tofu_kfr"] for f in (alone, beside))
    assert one == two


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Where the first test that asks writes the result of a run without interruption, for those after it."""
    return tmp_path_factory.mktemp("whole") / "out"


def _killed(run_arguments, folder, module, function, calls, *more):
    """Run until it is killed; something was kept by then, and no result."""
    arguments = ["run", *run_arguments, *map(str, LIMIT), "--batch-size", "1", *more, "--output", str(folder)]
    assert exit_code_when_killed(arguments, module, function, calls) == -signal.SIGKILL
    assert list((folder / ".answers").glob("*.json")), "nothing was kept: the test would say nothing"
    assert not (folder / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "function", "calls"),
    [
        ("harness.observations", "write_atomically", 2),
        ("harness.hf_model", "generate_greedy", 3),
        ("results.document", "write_together", 1),
    ],
    ids=["before a chunk is kept", "in the middle of a chunk", "before the result is written"],
)
def test_killed_run_resumes_to_the_identical_result(run, run_arguments, whole, tmp_path, module, function, calls):
    expected = whole if whole.exists() else run(*LIMIT, "--batch-size", 1, output=whole)[1]
    _killed(run_arguments, tmp_path / "cut", module, function, calls)
    code, resumed = run(*LIMIT, "--batch-size", 1, output="cut")
    assert code == 0
    assert (resumed / "samples.jsonl").read_bytes() == (expected / "samples.jsonl").read_bytes()
    first, second = (results.read_result(f) for f in (expected, resumed))
    assert first.tasks == second.tasks
    assert first.fingerprint == second.fingerprint


@pytest.mark.slow
def test_killed_sampled_run_resumes_to_the_identical_result(run, run_arguments, tmp_path):
    sampled = ("--temperature", "1.2", "--top-p", "0.9", "--seed", "3")
    _, expected = run(*LIMIT, *sampled, "--batch-size", 7, output="whole")
    _killed(run_arguments, tmp_path / "cut", "harness.observations", "write_atomically", 2, *sampled)
    _, resumed = run(*LIMIT, *sampled, "--batch-size", 1, output="cut")
    assert (resumed / "samples.jsonl").read_bytes() == (expected / "samples.jsonl").read_bytes()


@pytest.mark.slow
def test_swapped_weights_at_the_same_path_are_never_served_old_answers(run, tmp_path, monkeypatch):
    model = save_tiny(tmp_path / "model", seed=0)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # keep the store, as a killed run would
    _, first = run("--model", model, output="same")
    answers = (first / "samples.jsonl").read_bytes()
    shutil.copy(save_tiny(tmp_path / "other", seed=1) / "model.safetensors", model / "model.safetensors")
    assert run("--model", model, output="same")[0] == 2, "the result of other weights is not replaced silently"
    assert (first / "samples.jsonl").read_bytes() == answers
    run("--model", model, "--overwrite", output="same")
    assert (first / "samples.jsonl").read_bytes() != answers
    _, fresh = run("--model", model, output="fresh")
    assert (first / "samples.jsonl").read_bytes() == (fresh / "samples.jsonl").read_bytes()


def _never_says_turns(folder: Path) -> Path:
    """A tiny checkpoint that writes no turn tokens: stock lm_eval goes on behind those, and `run` ends there."""
    model, tokenizer = tiny_model(), tiny_tokenizer()
    turns = tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"])
    model.get_output_embeddings().weight.data[turns] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_stock_lm_eval_gives_the_same_values(run, tofu_folder, tmp_path, monkeypatch):
    """`lm_eval run`, which here reads our tasks only: its own are 10,000 files."""
    from lm_eval.__main__ import cli_evaluate

    checkpoint = _never_says_turns(tmp_path / "quiet")
    _, folder = run("--model", checkpoint, *LIMIT, "--batch-size", 4)
    command = [
        *("lm_eval", "run", "--include_path", str(tasks_dir()), "--model", "hf"),
        *("--model_args", f"pretrained={checkpoint},dtype=float32", "--tasks", "tofu_kfr,tofu_krr,tofu_rouge"),
        *("--metadata", f"data_dir={tofu_folder}", "--apply_chat_template", "--limit", "12", "--batch_size", "4"),
        *("--device", "cpu", "--gen_kwargs", "max_gen_toks=16", "--output_path", str(tmp_path / "stock")),
    ]
    monkeypatch.setattr("lm_eval.tasks.TaskManager", partial(TaskManager, include_defaults=False))
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.chdir(tmp_path)
    cli_evaluate()
    stock = json.loads(next((tmp_path / "stock").rglob("results_*.json")).read_text())["results"]
    ours = results.read_result(folder).tasks
    pairs = [(t, key.split(",")[0], v) for t in ours for key, v in stock[t].items() if key.endswith(",none")]
    values = {(t, m): v for t, m, v in pairs if isinstance(v, float)}
    assert len(values) >= 6
    assert values == pytest.approx({(t, m): ours[t].metrics[m].value for t, m in values}, abs=1e-12)


def test_json_for_scripts(run, capsys):
    code, folder = run("--json", *LIMIT)
    captured = capsys.readouterr()
    assert code == 0
    assert json.loads(captured.out) == json.loads((folder / "result.json").read_text())


def test_result_of_another_model_is_not_replaced_by_accident(run, tmp_path, capsys):
    run(*LIMIT, "--quiet")
    other = save_tiny(tmp_path / "other")
    assert run("--model", other, *LIMIT)[0] == 2
    assert "holds the result of tiny" in capsys.readouterr().err
    assert run("--model", other, "--overwrite", "--quiet", *LIMIT)[0] == 0
