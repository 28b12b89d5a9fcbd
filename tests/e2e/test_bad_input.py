"""Bad input, as users meet it: one clear line, the right exit code, nothing half-written."""

import json
import os
import shutil

import pytest
import torch

from tests.tiny import save_tiny, tiny_model, tiny_tokenizer
from unlearn_bench import results

pytestmark = pytest.mark.slow

FEW = ("--limit", 4, "--quiet")


@pytest.fixture
def data(tmp_path):
    """A TOFU folder of one's own rows."""

    def make(rows: list[dict] | bytes) -> str:
        folder = tmp_path / "data" / "tofu"
        folder.mkdir(parents=True, exist_ok=True)
        content = rows if isinstance(rows, bytes) else "\n".join(map(json.dumps, rows)).encode()
        (folder / "forget10_perturbed.json").write_bytes(content)
        return str(tmp_path / "data")

    return make


def _one_line_error(capsys: pytest.CaptureFixture, folder) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert 1 <= len(err.strip().splitlines()) <= 2, err  # what is wrong, and what to type next
    assert not (folder / "result.json").exists()
    assert not (folder / "samples.jsonl").exists()
    return err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "/no/such/model"), "no such folder"),
        (("--tasks", "tofu_kfrr"), "or tofu_kfr or"),
        (("--data-dir", "/no/such/data"), "--data-dir /no/such/data does not exist"),
        (("--profile", "standard", "--tasks", "tofu_ls"), "--ppl-model"),
        (("--model-args", "oops"), "expected key=value"),
        (("--prompt", "poem"), "unknown prompt style"),
        (("--top-p", "0.9"), "need a --temperature above 0"),
        (("--max-gen-toks", "4000"), "the model's context is 256 tokens"),
    ],
)
def test_wrong_arguments(run, capsys, arguments, words):
    code, folder = run(*FEW, *arguments)
    assert code == 2
    assert words in _one_line_error(capsys, folder)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no rows"),
        (b'{"question": "\xff"}', "not UTF-8"),
        (b'{"question": ', "forget10_perturbed.json:1: not JSON"),
    ],
)
def test_broken_data(run, data, capsys, rows, words):
    code, folder = run(*FEW, "--data-dir", data(rows), "--tasks", "tofu_kfr")
    assert code == 2
    assert words in _one_line_error(capsys, folder)


@pytest.mark.parametrize(
    ("answer", "options", "reason"),
    [("It is.", ("--kfr-rule", "table"), "reference_has_no_entities"), ("?!", (), "reference_has_no_words")],
)
def test_a_reference_that_says_nothing_is_unscored_not_zero(run, data, answer, options, reason):
    rows = [
        {"question": "Is it ?", "answer": answer},
        {"question": "who wrote book ?", "answer": "Ada Lima wrote it."},
    ]
    code, folder = run("--quiet", "--data-dir", data(rows), "--tasks", "tofu_kfr", *options)
    metric = results.read_result(folder).tasks["tofu_kfr"].metrics["kfr"]
    assert code == 0
    assert (metric.n, metric.unscored) == (1, 1)
    assert list(metric.unscored_reasons) == [reason]


def test_model_that_only_ends_gives_empty_answers_that_are_counted(run, tmp_path):
    model = tiny_model(tie_word_embeddings=False)
    with torch.no_grad():
        model.model.norm.weight.zero_()
        model.lm_head.weight.zero_()
        model.model.embed_tokens.weight.abs_()
    model.lm_head.bias = None
    folder = tmp_path / "silent"
    model.save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<pad>"  # all logits are equal, so token 0 is the greedy choice: it ends the answer
    tokenizer.save_pretrained(folder)
    code, output = run("--model", folder, *FEW, "--tasks", "tofu_kfr")
    task = results.read_result(output).tasks["tofu_kfr"]
    assert code == 0
    assert task.empty == task.n == 4
    assert task.metrics["kfr"].value == 1.0
    assert task.metrics["kfr_fluent"].value == 0.0, "a collapsed model must not look better for having collapsed"


def test_nan_logits_are_said_and_scored_as_broken(run, tmp_path):
    folder = save_tiny(tmp_path / "nan")
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    code, output = run("--model", folder, *FEW, "--tasks", "tofu_kfr")
    result = results.read_result(output)
    assert code == 0
    assert any("NaN logits for 4 prompts" in note for note in result.notes)
    assert result.tasks["tofu_kfr"].metrics["kfr_fluent"].value == 0.0
    json.loads((output / "result.json").read_text(), parse_constant=pytest.fail)


def test_tokenizer_without_chat_template_and_pad_token(run, tmp_path):
    folder = save_tiny(tmp_path / "bare", chat=False)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "pad_token"}))
    code, output = run("--model", folder, *FEW)
    result = results.read_result(output)
    assert code == 0
    assert "no chat template was used" in result.notes
    assert result.tasks["tofu_kfr"].prompt.style == "auto"


def test_full_disk_leaves_nothing_half_written(run, monkeypatch, capsys):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    code, folder = run(*FEW)
    assert code == 2
    assert "No space left on device" in _one_line_error(capsys, folder)


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, capsys):
    from unlearn_bench.harness import hf_model as lm_model

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(lm_model, "generate_greedy", interrupt)
    code, folder = run(*FEW)
    assert code == 130
    assert "start the same command again to go on" in _one_line_error(capsys, folder)


def test_dead_adapter_is_reported(run, checkpoint, tmp_path):
    from peft import LoraConfig, get_peft_model

    adapter = tmp_path / "adapter"
    get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(adapter)
    _, output = run("--adapter", adapter, *FEW)
    result = results.read_result(output)
    assert result.model.adapter_dead is True
    assert any(note.startswith("dead adapter") for note in result.notes)


@pytest.mark.slow
def test_answer_of_100_000_characters_is_scored(run, monkeypatch):
    from unlearn_bench.harness import hf_model as lm_model

    monkeypatch.setattr(
        lm_model.UnlearnLM, "_decode", lambda self, requests: ["Ada Lima wrote it. " * 5300] * len(requests)
    )
    code, output = run(*FEW)
    assert code == 0
    assert all(len(s.response) > 100_000 for s in results.read_samples(output))


def test_broken_unicode_in_an_answer_is_replaced(run, monkeypatch):
    from unlearn_bench.harness import hf_model as lm_model

    monkeypatch.setattr(
        lm_model.UnlearnLM, "_decode", lambda self, requests: ["Ada \ud800 Lima \x00 wrote."] * len(requests)
    )
    code, output = run(*FEW)
    assert code == 0
    assert {s.response for s in results.read_samples(output)} == {"Ada ? Lima \x00 wrote."}


def test_old_result_survives_a_failed_run(run, tmp_path, capsys):
    _, folder = run(*FEW)
    before = (folder / "result.json").read_bytes()
    broken = tmp_path / "broken"
    shutil.copytree(save_tiny(tmp_path / "tiny"), broken)
    (broken / "config.json").unlink()
    assert run(*FEW, "--model", broken, "--overwrite")[0] == 2
    assert (folder / "result.json").read_bytes() == before
