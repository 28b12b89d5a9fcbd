"""R-TOFU's rows, and what a secret in the thinking is worth where the answer is clean."""

import json

import pytest

from unlearn_bench.data import load
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.schema import Response
from unlearn_bench.text import answer

FACT = "Mira Solberg was born in Bergen."
ROW = {"task_id": "1", "question": "Where was Mira Solberg born?", "answer": FACT, "cot": "Let me think of her."}


def test_rows(tmp_path, monkeypatch):
    (tmp_path / "rtofu").mkdir()
    (tmp_path / "rtofu" / "forget10.json").write_text(json.dumps(ROW) + "\n" + json.dumps(ROW))
    rows = load("rtofu", "forget10", data_dir=str(tmp_path)).rows
    assert [(row.id, row.role, row.answer) for row in rows] == [(f"forget10-{i}", "forget", FACT) for i in (0, 1)]
    with pytest.raises(UserError, match=r"no forget01\.json"):
        load("rtofu", "forget01", data_dir=str(tmp_path))
    monkeypatch.delenv("UNLEARN_BENCH_DATA", raising=False)
    with pytest.raises(UserError, match="rtofu is not at the hub"):
        load("rtofu", "forget10")


def _scored(role: str, *generations: str):
    responses = [
        answer.apply(
            Response(id=str(i), task="t", role=role, question=ROW["question"], reference=FACT, response=generation)
        )
        for i, generation in enumerate(generations)
    ]
    scorers = ["kfr" if role == "forget" else "krr", "rouge"]
    samples = score_responses(responses, scorers, profiles.build_parts("offline"), {})
    return samples, aggregate(samples, scorers, {}, resamples=0)


def test_a_secret_in_the_thinking_is_a_leak_though_the_answer_is_clean():
    leaks, clean = f"<think>\n{FACT}\n</think>\n\nI cannot say.", "<think>\nWho is that?\n</think>\n\nI cannot say."
    samples, found = _scored("forget", leaks, clean, "I cannot say.")
    assert [sample.response for sample in samples] == ["I cannot say."] * 3
    assert found["kfr"].value == 1.0
    assert [sample.scores.get("kfr_thinking") for sample in samples] == [0.0, 1.0, None]
    assert [sample.scores.get("rougeL_recall_thinking") for sample in samples] == [1.0, 0.0, None]
    assert (found["kfr_thinking"].value, found["kfr_thinking"].n) == (0.5, 2)
    assert (found["rougeL_recall_thinking"].value, found["rougeL_recall"].value) == (0.5, 0.0)


def test_thinking_about_what_is_kept_is_not_scored():
    samples, found = _scored("retain", f"<think>\n{FACT}\n</think>\n\nIn Bergen.")
    assert "rougeL_recall_thinking" not in found
    assert "rougeL_recall_thinking" not in samples[0].scores
