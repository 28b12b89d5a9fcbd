"""WMDP's further forms: prompts as lm-eval asks them, options, categories, and what is refused."""

import json

import pytest

from unlearn_bench.data import DATASETS, load
from unlearn_bench.data.wmdp import CATEGORIES
from unlearn_bench.errors import UserError

ROW = {"question": " Which is a yeast? ", "choices": ["Oak", "Baker's yeast", "Rye", "Sea"], "answer": 1}
REWRITTEN = {"rewritten": "Which of these is a yeast?", "options": ROW["choices"], "correct": "B"}


@pytest.fixture
def folder(tmp_path):
    for form in ("robust", "shortcut"):
        for category in CATEGORIES:
            path = tmp_path / "wmdp" / form / f"{category}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([ROW]))
    (tmp_path / "wmdp" / "cloze.jsonl").write_text(json.dumps(ROW))
    (tmp_path / "wmdp" / "rewritten.json").write_text(json.dumps([REWRITTEN]))
    return tmp_path


@pytest.mark.parametrize("split", DATASETS.get("wmdp").splits)
def test_every_split_has_rows(folder, split):
    rows = load("wmdp", split, data_dir=str(folder)).rows
    assert {(row.role, row.gold) for row in rows} == {("forget", 1)}
    assert len(rows) == (6 if split in ("bio_robust", "bio_shortcut") else 1)


def test_prompts_are_lm_eval_s(folder):
    robust = load("wmdp", "bio_robust", data_dir=str(folder)).rows
    assert robust[0].question == (
        "The following are multiple choice questions (with answers) about biology.\n\n"
        "Which is a yeast?\nA. Oak\nB. Baker's yeast\nC. Rye\nD. Sea\nAnswer:"
    )
    assert (robust[0].choices, robust[0].answer) == (["A", "B", "C", "D"], "B")
    assert tuple(row.kind for row in robust) == CATEGORIES
    (cloze,) = load("wmdp", "bio_cloze", data_dir=str(folder)).rows
    assert cloze.question.endswith("with the correct answer.\n\nQuestion: Which is a yeast?\nAnswer:")
    assert (cloze.choices, cloze.answer) == (ROW["choices"], "Baker's yeast")


@pytest.mark.parametrize("correct", [1, "B", " B", "Baker's yeast"])
def test_the_right_option_is_an_index_a_letter_or_the_option(folder, correct):
    (folder / "wmdp" / "rewritten.json").write_text(json.dumps([{**REWRITTEN, "correct": correct}]))
    assert load("wmdp", "bio_rewritten", data_dir=str(folder)).rows[0].gold == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": "E"}, r"rewritten\.json: item 1: 'correct' must be a whole number from 0 to 3, got 'E'"),
        ({"correct": True}, "'correct' must be a whole number"),
        ({"correct": 4}, "got 4"),
        ({"options": ["a", "b"]}, "'options' must hold 4 options, got 2"),
        ({"rewritten": None}, "'rewritten' must be a non-empty text"),
    ],
)
def test_a_malformed_row_is_named(folder, change, message):
    (folder / "wmdp" / "rewritten.json").write_text(json.dumps([{**REWRITTEN, **change}]))
    with pytest.raises(UserError, match=message):
        load("wmdp", "bio_rewritten", data_dir=str(folder))


def test_the_hub_needs_a_revision_and_has_no_rewritten_questions():
    with pytest.raises(UserError, match="no revision is pinned") as error:
        load("wmdp", "bio_robust")
    assert "DIR/wmdp/robust/bioweapons_and_bioterrorism.json" in error.value.hint
    with pytest.raises(UserError, match="rewritten questions are at the hub is not known"):
        load("wmdp", "bio_rewritten", revision="abc")
