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


def losses(*values: float | None) -> dict:
    return {"value_by_index": {str(i): {"prob": 0.5, "avg_loss": value} for i, value in enumerate(values)}}


def eval_log(path: Path, **more: object) -> Path:
    answers = {"value_by_index": {str(i): {**ENTRY, "input": f"Question: Who is {i}?\nAnswer:"} for i in range(3)}}
    sections = {
        "forget_Q_A_ROUGE": answers,
        "forget_Q_A_Prob": losses(0.5, 1.0, 2.0),
        "forget_Q_A_PARA_Prob": losses(1.0, 1.0, 1.0),
        "forget_Q_A_PERT_Prob": losses([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]),
        "extraction_strength": {"value_by_index": {str(i): {"score": i / 4} for i in range(3)}},
        "mia_loss": {
            "forget": {"value_by_index": {str(i): {"score": v} for i, v in enumerate((0.5, 1.0, 2.0))}},
            "holdout": {"value_by_index": {str(i): {"score": v} for i, v in enumerate((3.0, 4.0))}},
        },
        **more,
    }
    return write(path, **sections)


def test_losses_become_likelihoods_of_the_rows(tmp_path: Path) -> None:
    found = formats.read(eval_log(tmp_path / "TOFU_EVAL.json"))
    assert found.errors == []
    first = found.responses[0]
    assert {name: known.mean_logprob for name, known in first.likelihoods.items()} == {
        "answer": -0.5,
        "paraphrased_answer": -1.0,
        "perturbed_answers.0": -1.0,
        "perturbed_answers.1": -2.0,
    }
    assert first.logged == {"extraction_strength": 0.0}
    holdout = [r for r in found.responses if r.role == "holdout"]
    assert [(r.task, r.missing, r.likelihoods["answer"].mean_logprob) for r in holdout] == [
        ("holdout_Q_A", "not_asked", -3.0),
        ("holdout_Q_A", "not_asked", -4.0),
    ]


def test_other_members_are_a_task_of_their_own(tmp_path: Path) -> None:
    other = {"forget": losses(9.0), "holdout": {"value_by_index": {"0": {"score": 1.0}}}}
    other["forget"]["value_by_index"]["0"]["score"] = 9.0
    found = formats.read(eval_log(tmp_path / "E.json", mia_loss=other))
    assert {r.task for r in found.responses} == {"forget_Q_A", "forget_mia", "holdout_mia"}


def test_nan_null_and_missing_rows_are_counted(tmp_path: Path) -> None:
    sections = {"forget_Q_A_Prob": losses(float("nan"), None), "forget_Q_A_PERT_Prob": losses([1.0, float("inf")])}
    found = formats.read(eval_log(tmp_path / "E.json", **sections))
    assert found.responses[0].no_likelihood == {
        "answer": "loss_not_finite",
        "perturbed_answers.1": "loss_not_finite",
    }
    assert "perturbed_answers.0" in found.responses[0].likelihoods
    assert "answer" not in found.responses[2].likelihoods
    notes = "\n".join(found.notes)
    assert "forget_Q_A_Prob: 2 of 2 rows have no finite loss" in notes
    assert "forget_Q_A_Prob: 1 of 3 answers have no row in it" in notes


def test_a_row_that_is_given_twice_refuses_the_file(tmp_path: Path) -> None:
    path = tmp_path / "E.json"
    path.write_text(eval_log(path).read_text().replace('"1": {"score": 0.25}', '"0": {"score": 0.25}'))
    with pytest.raises(UserError, match="'0' is given twice"):
        formats.read(path)


def test_summary_is_read_as_reported_numbers(tmp_path: Path) -> None:
    found = formats.read(write(tmp_path / "TOFU_SUMMARY.json", forget_quality=0.25, privleak=float("nan")))
    assert (found.responses, found.reported) == ([], {"TOFU_SUMMARY": {"forget_quality": 0.25}})


def test_a_loss_or_a_norm_below_0_is_a_malformed_row(tmp_path: Path) -> None:
    norms = {side: losses(value) for side, value in (("forget", -2.0), ("holdout", 3.0))}
    for side in norms.values():
        side["value_by_index"]["0"]["score"] = side["value_by_index"]["0"]["avg_loss"]
    sections = {"forget_Q_A_Prob": losses(-3.0, 0.5, -1e-9), "mia_gradnorm": norms}
    found = formats.read(eval_log(tmp_path / "E.json", **sections))
    assert found.errors == [
        "E: forget_Q_A_Prob, row 0: the loss is -3, and cannot be below 0",
        "E: mia_gradnorm, forget, row 0: gradnorm is -2, and cannot be below 0",
    ]
    first, second, third = (r for r in found.responses if r.task == "forget_Q_A")
    assert first.no_likelihood == {"answer": "loss_not_finite"}
    assert "gradnorm" not in (first.logged or {})
    assert [r.likelihoods["answer"].mean_logprob for r in (second, third)] == [-0.5, 1e-9]
