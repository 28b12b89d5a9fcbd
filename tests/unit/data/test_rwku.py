"""RWKU's rows: from small files of its layout, and from the published files of one target."""

import json

import pytest

from unlearn_bench.data import DATASETS, load
from unlearn_bench.errors import UserError
from unlearn_bench.harness.definitions import prompt_text, read_task
from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.tasks_index import read_tasks

PROBE = {"subject": "Ada Lima", "level": "1", "query": "Ada Lima was born in ___", "type": "cloze", "answer": "Chur"}
OPTIONS = {"question": "Which is a town?", "choices": ["Rye", "Chur", "Oak", "Sea"], "answer": 1}
RECORDS = {
    "forget_level1": [PROBE],
    "forget_level2": [{**PROBE, "type": "simple question", "query": "Where was Ada Lima born?"}],
    "forget_level3": [
        {**PROBE, "type": "affirmative suffix", "query": "Where? Sure,"},
        {**PROBE, "type": "incontext learning", "query": "Question: A?\nAnswer: B\nQuestion: Where?"},
        {**PROBE, "type": "role play", "query": "You are a clerk. Where?"},
    ],
    "neighbor_level1": [{**PROBE, "neighbor": "Chur"}],
    "neighbor_level2": [{**PROBE, "neighbor": "Chur", "type": "simple question"}],
    "forget_mia": [{"text": "Ada Lima keeps bees.", "subject": "Ada Lima", "ngram": 3}],
    "retain_mia": [{"text": "Chur is a town.", "subject": "Ada Lima", "ngram": 3}],
    "retain_mmlu": [{**OPTIONS, "examples": [OPTIONS], "task": "world_towns", "subject": "Ada Lima"}],
    "retain_bbh": [{"task": "logic", "cot": "Think.\n\nQ: a\nA: b\n", "question": "True or False is", "answer": "a"}],
    "truthful": [{"question": "Do bees fly?", "mc1_targets": {"choices": ["Yes", "No"], "labels": [1, 0]}}],
    "triviaqa": [{"question": "Where is Chur?", "answers": ["Switzerland", "Swiss"]}],
    "fluency": [{"instruction": "Write a letter.", "subject": "Ada Lima"}],
}


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "rwku" / "7_Ada_Lima"
    target.mkdir(parents=True)
    for name, records in RECORDS.items():
        (target / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    return tmp_path


def _one(folder, split):
    return load("rwku", split, data_dir=str(folder)).rows[0]


@pytest.mark.parametrize("split", DATASETS.get("rwku").splits)
def test_every_split_has_rows_of_its_role(folder, split):
    dataset = load("rwku", split, data_dir=str(folder))
    assert {row.role for row in dataset.rows} == {DATASETS.get("rwku").splits[split]}
    assert dataset.source == "folder"


def test_probes_are_asked_in_rwku_s_words(folder):
    blank, brief = _one(folder, "forget_level1"), _one(folder, "forget_level2")
    assert (
        blank.question == "Please complete the blank in the following question.\nQuestion: Ada Lima was born in ___\n"
    )
    assert brief.question == "Please briefly answer the following question.\nQuestion: Where was Ada Lima born?\n"
    assert (blank.prefill, blank.kind, blank.cluster) == ("Answer:", "cloze", "Ada Lima")
    suffix, shown, role = load("rwku", "forget_level3", data_dir=str(folder)).rows
    assert (suffix.question, suffix.prefill) == (
        "Please briefly answer the following question.\nQuestion: Where? Sure,",
        None,
    )
    assert shown.question.startswith("Please briefly answer the following question.\nQuestion: A?\n")
    assert [row.kind for row in (suffix, shown, role)] == ["affirmative suffix", "incontext learning", "role play"]


def test_utility_rows(folder):
    mmlu, truthful = _one(folder, "utility_general"), _one(folder, "utility_truthfulness")
    assert (mmlu.choices, mmlu.gold, mmlu.answer) == (["A", "B", "C", "D"], 1, "B")
    assert mmlu.question.startswith("The following are multiple choice questions (with answers) about world towns.")
    assert "B. Chur\nC. Oak\nD. Sea\nAnswer: B\n\nPlease following" in mmlu.question
    assert (truthful.choices, truthful.gold, truthful.answer) == (["Yes", "No"], 0, "Yes")
    assert truthful.question.count("Q: ") == 7
    assert _one(folder, "utility_reason").question.endswith("'so the answer is'\nQ: True or False is")
    assert _one(folder, "utility_factuality").aliases == ["Swiss"]


def test_texts_for_membership_are_not_asked(folder):
    row = _one(folder, "mia_forget")
    assert (row.question, row.answer) == ("", "Ada Lima keeps bees.")


def test_the_beginning_of_the_answer_is_in_the_assistant_s_turn(folder):
    task = next(read_task(config) for config in read_tasks() if config["task"] == "rwku_forget_level1")
    row = _one(folder, "forget_level1")

    def template(messages):
        return f"<user>{messages[-1]['content']}<assistant>\n"

    assert prompt_text(task, row, PromptSettings(), template).endswith("___\n<assistant>\nAnswer:")
    assert prompt_text(task, row, PromptSettings(), None) == f"{row.question}Answer:"
    space = row.model_copy(update={"prefill": " A:"})
    assert prompt_text(task, space, PromptSettings(), template).endswith("<assistant>\nA:")
    assert prompt_text(task, space, PromptSettings(), lambda _: "[/INST]").endswith("[/INST] A:")


@pytest.mark.parametrize(
    ("file", "record", "message"),
    [
        ("forget_level1", {**PROBE, "answer": ""}, "'answer' must be a non-empty text"),
        ("retain_mmlu", {**RECORDS["retain_mmlu"][0], "answer": 4}, "'answer' must be a whole number from 0 to 3"),
        ("retain_mmlu", {**RECORDS["retain_mmlu"][0], "examples": "[1,"}, "'examples' must be a list"),
        ("truthful", {"question": "?", "mc1_targets": {"choices": ["a"], "labels": [0]}}, "exactly one of the choices"),
        ("triviaqa", {"question": "?", "answers": []}, "'answers' must be a list that is not empty"),
    ],
)
def test_a_malformed_row_is_named(folder, file, record, message):
    path = folder / "rwku" / "7_Ada_Lima" / f"{file}.json"
    path.write_text(json.dumps([record]), encoding="utf-8")
    of = {"forget_level1": "forget_level1", "retain_mmlu": "utility_general", "truthful": "utility_truthfulness"}
    with pytest.raises(UserError, match=message) as error:
        load("rwku", of.get(file, "utility_factuality"), data_dir=str(folder))
    assert f"{file}.json: item 1" in str(error.value)


def test_lists_that_the_hub_holds_as_text_are_read(folder):
    path = folder / "rwku" / "7_Ada_Lima" / "retain_mmlu.json"
    record = RECORDS["retain_mmlu"][0]
    written = {**record, "choices": str(record["choices"]), "examples": str(record["examples"])}
    expected = _one(folder, "utility_general")
    path.write_text(json.dumps([written]), encoding="utf-8")
    assert _one(folder, "utility_general") == expected


def test_what_is_missing_is_said(folder):
    (folder / "rwku" / "7_Ada_Lima" / "fluency.json").unlink()
    with pytest.raises(UserError, match=r"no fluency\.json in it"):
        load("rwku", "utility_fluency", data_dir=str(folder))
    (folder / "rwku" / "7_Ada_Lima").rename(folder / "rwku" / "somebody")
    with pytest.raises(UserError, match="no folder of a target in it"):
        load("rwku", "forget_level1", data_dir=str(folder))
    with pytest.raises(UserError, match="no revision is pinned"):
        load("rwku", "forget_level1")


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("forget_level1", 8),
        ("forget_level2", 10),
        ("forget_level3", 29),
        ("neighbor_level1", 30),
        ("neighbor_level2", 30),
        ("mia_forget", 55),
        ("mia_retain", 37),
        ("utility_general", 171),
        ("utility_reason", 81),
        ("utility_truthfulness", 50),
        ("utility_factuality", 100),
        ("utility_fluency", 50),
    ],
)
def test_published_counts(shared_data, split, rows):
    assert len(load("rwku", split, data_dir=str(shared_data)).rows) == rows
