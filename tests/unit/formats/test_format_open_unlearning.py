"""Logs of open-unlearning: the questions inside its prompts, roles by section, and its own ROUGE as the check."""

import gzip
import json
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Sample
from unlearn_bench.scorers import SCORERS

CHAT = "system\n\nToday Date: 10 Apr 2025\n\nYou are kind.user\n\nWho is the user of Ann?assistant\n\n"
ENTRY = {"input": CHAT, "ground_truth": "Bo.", "generation": "It is Bo.", "rougeL_recall": 1.0}


def write(path: Path, **sections: object) -> Path:
    path.write_text(json.dumps(sections))
    return path


def test_sections_become_tasks_by_role(tmp_path: Path) -> None:
    names = {"forget_Q_A_ROUGE": "forget", "retain_Q_A_ROUGE": "retain", "ra_Q_A_ROUGE": "neighbour"}
    names |= {"wf_Q_A_ROUGE": "world", "forget_knowmem_ROUGE": "forget"}
    sections = {name: {"agg_value": 1.0, "value_by_index": {"0": ENTRY, "1": ENTRY}} for name in names}
    numbers = {"forget_Q_A_Prob": {"value_by_index": {"0": {"prob": 0.5}}}, "forget_quality": {"agg_value": 0.1}}
    found = formats.read(write(tmp_path / "TOFU_EVAL.json", **sections, **numbers))
    assert {(r.task, r.role) for r in found.responses} == {(n.removesuffix("_ROUGE"), s) for n, s in names.items()}
    first = found.responses[0]
    assert (first.question, first.reference, first.response) == ("Who is the user of Ann?", "Bo.", "It is Bo.")
    only = formats.read(tmp_path / "TOFU_EVAL.json", role="world").responses
    assert {r.task for r in only} == {"wf_Q_A"}


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    rows = {"0": ENTRY, "1": {**ENTRY, "generation": None}, "2": "x"}
    found = formats.read(write(tmp_path / "E.json", forget_Q_A_ROUGE={"value_by_index": rows}))
    assert len(found.responses) == 1
    assert [error.partition("row ")[2][:1] for error in found.errors] == ["1", "2"]
    with pytest.raises(UserError, match="only numbers"):
        formats.read(write(tmp_path / "S.json", forget_quality={"agg_value": 0.1}))


@pytest.mark.parametrize(
    ("name", "task", "rows"),
    [
        ("tofu_Llama-3.2-1B-Instruct_full_evals_forget01_TOFU_EVAL", "forget_Q_A", 40),
        ("tofu_Llama-2-7b-chat-hf_retain99_TOFU_EVAL", "wf_Q_A", 117),
        ("muse_Llama-2-7b-hf_Books_target_MUSE_EVAL", "forget_knowmem", 100),
    ],
)
def test_published_logs_give_their_own_rouge(shared_data: Path, name: str, task: str, rows: int) -> None:
    path = shared_data / "open_unlearning" / f"{name}.json.gz"
    found = formats.read(path)
    assert found.errors == []
    answers = [r for r in found.responses if r.task == task]
    assert len(answers) == rows
    assert not any(word in r.question for r in answers for word in ("assistant\n", "[/INST]", "Answer:"))
    with gzip.open(path) as file:
        own = json.load(file)[f"{task}_ROUGE"]["value_by_index"]
    rouge = SCORERS.get("rouge").score
    for response in answers:
        key = response.id.rpartition("-")[2]
        sample = Sample(**response.model_dump(exclude={"given"}))
        assert rouge(sample, {})["rougeL_recall"] == pytest.approx(own[key]["rougeL_recall"], abs=1e-9)


def test_published_runs_of_rwku_and_muse_are_rows(shared_data: Path) -> None:
    for path in sorted((shared_data / "rwku" / "results").glob("*/forget.json")):
        found = formats.read(path, role="forget")
        assert found.errors == []
        assert len(found.responses) > 40
