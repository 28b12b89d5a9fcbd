"""LS where its perplexity model cannot read the text: shown as such, and used by nobody to rank."""

import json

import pytest

from unlearn_bench import score
from unlearn_bench.boards.lookup import load
from unlearn_bench.comparison.check import check
from unlearn_bench.comparison.compare import compare
from unlearn_bench.comparison.gate import Gate, MetricGate
from unlearn_bench.result_table import unscored_lines

QUESTIONS = ("What did the committee of Eldvik decide on the harbour toll?", "Which treaty ended the siege of Brenna?")
REFERENCES = (
    "The committee abolished the harbour toll after a referendum among the guilds.",
    "The siege of Brenna was ended by the treaty that both dukes signed at Olmsee.",
)


def scored(folder, answers):
    rows = [
        {"id": str(i), "question": QUESTIONS[i % 2], "reference": REFERENCES[i % 2], "response": answers[i % 2]}
        for i in range(20)
    ]
    path = folder.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return score(str(path), role="forget", metrics=["ls"], ppl_model="nano-base", name="model")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A plain model and one that has collapsed into a loop, which a perplexity would put first."""
    places = {}
    for name, answers in (("plain", REFERENCES), ("loop", ("love love love love love love",) * 2)):
        folder = tmp_path_factory.mktemp(name) / "answers"
        found = scored(folder, answers)
        found.save(folder)
        places[name] = (found.result, folder)
    return places


def test_the_table_says_that_it_cannot_be_read(saved):
    for result, _ in saved.values():
        (task,) = result.tasks.values()
        assert (task.metrics["ls"].value, task.metrics["ls"].unreadable) == (None, True)
        (line,) = unscored_lines(result)
        assert "the perplexity model knows other text only" in line
        assert "--ppl-model smollm2-135m" in line


def test_check_judges_the_others_and_says_so(saved):
    plain, loop = (load(str(folder)) for _, folder in (saved["plain"], saved["loop"]))
    same = check(plain, plain)
    assert same.exit_code == 0  # not undecided
    note = "answers_forget/ls is not judged: the perplexity model cannot read this text (judge_cannot_read)"
    assert note in same.notes
    assert {m.key: m.verdict for m in same.metrics}["answers_forget/ls"] == "info"
    assert check(loop, plain).exit_code == 1  # by fluency
    named = check(plain, plain, Gate(metrics={"*/ls": MetricGate(margin=0.1)}))
    assert named.exit_code == 3  # who asks for it learns that it has no value


def test_compare_says_so(saved):
    report = compare([load(str(folder)) for _, folder in saved.values()])
    assert any(row.key == "answers_forget/ls" and row.others[0].difference is None for row in report.rows)
    note = "answers_forget/ls is not compared: the perplexity model cannot read this text (judge_cannot_read)"
    assert note in str(report)
