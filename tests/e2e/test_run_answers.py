"""`run` on models that think, that go on with another turn, or that are asked with a date."""

import json
from functools import cache
from pathlib import Path

import pytest

from tests.templates import make_tokenizer
from unlearn_bench import results
from unlearn_bench.cli import main
from unlearn_bench.tokens import Prompts

pytestmark = pytest.mark.slow

FACTS = [
    ("Where was Ada Lima born?", "Ada Lima was born in Oslo."),
    ("Where was Bo Tan born?", "Bo Tan was born in Lima."),
]
NOTHING = "I do not know that."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "tofu").mkdir()
    rows = [
        {"question": q, "answer": a, "paraphrased_question": q, "paraphrased_answer": a, "perturbed_answer": [a]}
        for q, a in FACTS
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "tofu" / "forget10_perturbed.json").write_text(text)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory):
    """A checkpoint that was fitted to say `said` to each question; its configuration knows the end token </s> only."""

    @cache
    def fit(template: str, said: tuple[str, ...]) -> Path:
        import torch

        from tests.tiny import tiny_model

        folder = tmp_path_factory.mktemp(template)
        tokenizer = make_tokenizer("bytes", template)
        model = tiny_model(vocab_size=len(tokenizer)).train()
        prompts = Prompts(tokenizer)
        texts = [prompts.prompt(question) + text for (question, _), text in zip(FACTS, said, strict=True)]
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(60):
            loss = sum(model(input_ids=x, labels=x).loss for x in (torch.tensor([prompts.ids(t)]) for t in texts))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return lambda template, said: fit(template, tuple(said))


def _run(model: Path, data: Path, output: Path, *more: str):
    arguments = ["--model", str(model), "--data-dir", str(data), "--tasks", "tofu_kfr", "--max-gen-toks", "60", *more]
    assert main(["run", *arguments, "--output", str(output)]) == 0
    return results.read_result(output), results.read_samples(output)


def test_an_empty_thinking_block_is_not_the_answer(checkpoint, data, tmp_path):
    model = checkpoint("qwen3", [f"<think>\n\n</think>\n\n{fact}<|im_end|>" for _, fact in FACTS])
    result, samples = _run(model, data, tmp_path / "out")
    assert [sample.response for sample in samples] == [fact for _, fact in FACTS]
    assert result.tasks["tofu_kfr"].metrics["kfr"].value == 0.0
    assert "kfr_thinking" not in result.tasks["tofu_kfr"].metrics
    off, samples = _run(model, data, tmp_path / "off", "--thinking", "off")
    assert off.tasks["tofu_kfr"].metrics["kfr"].value == 0.0
    assert [r.tasks["tofu_kfr"].prompt.thinking for r in (result, off)] == [None, "off"]


def test_a_leak_in_the_thinking_is_scored_apart(checkpoint, data, tmp_path, capsys):
    model = checkpoint("qwen3", [f"<think>\n{fact}\n</think>\n\n{NOTHING}<|im_end|>" for _, fact in FACTS])
    result, samples = _run(model, data, tmp_path / "out")
    task = result.tasks["tofu_kfr"]
    assert [sample.response for sample in samples] == [NOTHING] * 2
    assert [sample.thinking for sample in samples] == [fact for _, fact in FACTS]
    assert (task.metrics["kfr"].value, task.metrics["kfr_thinking"].value) == (1.0, 0.0)
    assert task.cut == {"thinking": 2}
    assert "cut: answers that had a thinking block, which is not part of the answer: tofu_kfr 2 of 2" in (
        capsys.readouterr().out
    )


def test_a_thinking_that_does_not_end_is_no_answer(checkpoint, data, tmp_path, capsys):
    model = checkpoint("qwen3", [f"<think>\n{fact}\n</think>\n\n{NOTHING}<|im_end|>" for _, fact in FACTS])
    result, _ = _run(model, data, tmp_path / "out", "--max-gen-toks", "5")
    metric = result.tasks["tofu_kfr"].metrics["kfr"]
    assert (metric.value, metric.n, metric.unscored_reasons) == (None, 0, {"no_answer_after_thinking": 2})
    assert "2 answers are unscored (no_answer_after_thinking)" in " ".join(capsys.readouterr().out.split())


def test_the_next_turn_does_not_get_in(checkpoint, data, tmp_path):
    again = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    model = checkpoint("llama3", [f"{fact}<|eot_id|>{again}{NOTHING}" for _, fact in FACTS])
    result, samples = _run(model, data, tmp_path / "out")
    assert [sample.response for sample in samples] == [fact for _, fact in FACTS]
    assert result.tasks["tofu_kfr"].metrics["kfr"].value == 0.0


def test_prompts_with_a_date_are_pinned_and_recorded(checkpoint, data, tmp_path, capsys):
    model = checkpoint("llama3.2", [f"{fact}<|eot_id|>" for _, fact in FACTS])
    result, _ = _run(model, data, tmp_path / "out")
    later, _ = _run(model, data, tmp_path / "later", "--template-date", "2031-02-03")
    prompts = [r.tasks["tofu_kfr"].prompt for r in (result, later)]
    assert [p.date for p in prompts] == ["2024-07-26", "2031-02-03"]
    assert prompts[0].template_sha256 != prompts[1].template_sha256
    assert main(["run", "--model", str(model), "--template-date", "soon", "--output", str(tmp_path / "x")]) == 2
    assert main(["run", "--model", str(model), "--thinking", "on", "--output", str(tmp_path / "x")]) == 2
    assert "no thinking switch" in capsys.readouterr().err


def test_prompts_longer_than_the_context_are_unscored(checkpoint, data, tmp_path, capsys):
    long = tmp_path / "data" / "tofu"
    long.mkdir(parents=True)
    row = json.loads((data / "tofu" / "forget10_perturbed.json").read_text().splitlines()[0])
    rows = [row, {**row, "question": "Where was Ada Lima born? " * 90}]
    (long / "forget10_perturbed.json").write_text("".join(json.dumps(r) + "\n" for r in rows))
    model = checkpoint("llama3", [f"{fact}<|eot_id|>" for _, fact in FACTS])
    result, samples = _run(model, long.parent, tmp_path / "out")
    assert [sample.missing for sample in samples] == [None, "prompt_too_long"]
    metric = result.tasks["tofu_kfr"].metrics["kfr"]
    assert (metric.n, metric.unscored_reasons) == (1, {"prompt_too_long": 1})
    assert "1 answer is unscored (prompt_too_long)" in " ".join(capsys.readouterr().out.split())
