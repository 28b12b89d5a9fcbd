"""Logs of single texts that lm-eval itself wrote, scored with the model's tokenizer."""

import json
from pathlib import Path

import pytest

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.harness.score import ScoreSpec, score
from unlearn_bench.harness.token_counts import TokenCounter

SAID = ("Oslo", "the city of Ada Lima", "born in Oslo")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of task to the log that lm-eval's evaluator and tracker write of it."""
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM

    folder = tmp_path_factory.mktemp("lm_eval")
    rows = folder / "rows.json"
    rows.write_text("\n".join(json.dumps({"q": f"who wrote {text} ?", "a": text}) for text in SAID))
    common = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(rows)}}, "test_split": "test"}
    kinds = {
        "loglikelihood": {"doc_to_text": "{{q}}", "doc_to_target": " {{a}}", "metric_list": [{"metric": "perplexity"}]},
        "loglikelihood_rolling": {"doc_to_text": "", "doc_to_target": "{{q}}",
                                  "metric_list": [{"metric": "word_perplexity"}]},
    }  # fmt: skip
    tasks = [{**common, **own, "task": f"toy_{kind}", "output_type": kind} for kind, own in kinds.items()]
    lm = HFLM(pretrained=tiny_model(), tokenizer=tiny_tokenizer(), batch_size=2)
    results = lm_eval.simple_evaluate(lm, tasks=tasks, log_samples=True, bootstrap_iters=0)
    samples = results.pop("samples")
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, own in samples.items():
        tracker.save_results_samples(task_name=name, samples=own)
    return {kind: next(folder.rglob(f"samples_toy_{kind}_2*.jsonl")) for kind in kinds}


def own_means(pairs: list[tuple[str, str]]) -> list[float]:
    """Mean log-probability of each text after its prompt; a text alone follows the beginning token."""
    import torch

    model, tokenizer = tiny_model(), tiny_tokenizer()
    means = []
    for prompt, text in pairs:
        before = tokenizer.encode(prompt, add_special_tokens=False) or [tokenizer.bos_token_id]
        ids = before + tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        means.append(float(torch.stack([logprobs[i - 1, ids[i]] for i in range(len(before), len(ids))]).mean()))
    return means


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling"])
def test_a_log_of_lm_eval_gives_the_models_probabilities(logs: dict[str, Path], tokenizer: Path, kind: str) -> None:
    asked = [(f"who wrote {text} ?", text) if kind == "loglikelihood" else ("", f"who wrote {text} ?") for text in SAID]
    outcome = score(ScoreSpec(files=(logs[kind],), role="forget", tokenizer=tokenizer))
    assert outcome.errors == []
    assert [(s.question, s.reference) for s in outcome.samples] == asked
    assert [-s.scores["loss"] for s in outcome.samples] == pytest.approx(own_means(asked), abs=1e-4)
    task, _ = outcome.result.tasks.values()
    assert task.metrics["probability"].n == 3
    assert outcome.result.model.tokenizer_sha256 == TokenCounter(tokenizer).sha256


@pytest.mark.slow
def test_without_the_tokenizer_the_next_step_is_named(logs: dict[str, Path]) -> None:
    with pytest.raises(UserError) as raised:
        score(ScoreSpec(files=(logs["loglikelihood"],), role="forget"))
    assert "--tokenizer FOLDER" in raised.value.hint


def test_a_tokenizer_that_nothing_needs_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text(json.dumps({"question": "Who?", "reference": "Ada", "response": "Bo"}))
    with pytest.raises(UserError, match="no file holds log-likelihoods of single texts"):
        score(ScoreSpec(files=(answers,), role="forget", tokenizer=tokenizer))
    with pytest.raises(UserError, match="no such folder"):
        score(ScoreSpec(files=(answers,), role="forget", tokenizer=tmp_path / "none"))


def test_white_space_before_a_continuation_belongs_to_it(tokenizer: Path) -> None:
    count = TokenCounter(tokenizer)
    assert (count("who wrote ", "Ada Lima"), count("who wrote", " Ada Lima"), count("", "who wrote ?")) == (2, 2, 3)
