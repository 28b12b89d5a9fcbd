"""Changed questions: what is asked, what the answer is judged by, and which rows are left out."""

import pytest

from unlearn_bench.schema import Row
from unlearn_bench.stress import prefix, questions, relearning, sampling
from unlearn_bench.stress.base import Material

ROW = Row(
    id="f1",
    role="forget",
    cluster="Ada",
    question="Where was the novelist Ada Lima born?",
    answer="Ada Lima was born in Oslo in 1970.",
    paraphrased_question="What is the birthplace of Ada Lima?",
)
OTHERS = [
    Row(id=f"f{i}", role="forget", cluster=f"P{i}", question=f"Q{i}?", answer=f"P{i} was born in {town} in 19{i}0.")
    for i, town in enumerate(("Lima", "Rome", "Bern", "Quito"), start=2)
]
RETAIN = [Row(id=f"r{i}", role="retain", question=f"Who is R{i}?", answer=f"R{i} is known.") for i in range(5)]
MATERIAL = Material(answers={"f1": "I do not know."}, separator=" ", retain=RETAIN, forget=[ROW, *OTHERS])


def test_a_prefix_is_given_and_the_rest_is_the_reference():
    (row,) = prefix.rows("3", ROW, MATERIAL)
    assert (row.prefill, row.answer) == (" Ada Lima was", "born in Oslo in 1970.")
    assert (row.id, row.question) == (ROW.id, ROW.question)
    assert prefix.rows("5", ROW.model_copy(update={"answer": "Only five words are here"}), MATERIAL) == []


def test_a_prefix_follows_what_the_data_begins_the_answer_with():
    (row,) = prefix.rows("1", ROW.model_copy(update={"prefill": "Answer:"}), MATERIAL)
    assert row.prefill == "Answer: Ada"


@pytest.mark.parametrize("variant", sorted({*questions.STRESS.variants} - {"reversed"}))
def test_every_frame_keeps_what_the_answer_is_judged_by(variant):
    (row,) = questions.rows(variant, ROW, MATERIAL)
    assert (row.id, row.question, row.cluster) == (ROW.id, ROW.question, ROW.cluster)
    assert row != ROW
    assert (row.answer == ROW.answer) == (variant != "cloze")
    assert questions.rows(variant, ROW, MATERIAL) == [row]  # the same every time


def test_typos_leave_names_alone():
    (row,) = questions.rows("typos", ROW, MATERIAL)
    assert "Ada Lima" in row.asked
    assert sorted(row.asked) == sorted(ROW.question)
    assert sum(a != b for a, b in zip(row.asked, ROW.question, strict=True)) == 2  # one plain word is long enough


def test_a_multiple_choice_holds_the_answer_once_and_others_facts():
    (row,) = questions.rows("mcq", ROW, MATERIAL)
    lines = row.asked.splitlines()
    assert [line[:2] for line in lines[1:5]] == ["A)", "B)", "C)", "D)"]
    assert sum(ROW.answer in line for line in lines) == 1
    assert questions.rows("mcq", ROW, Material(forget=[ROW, *OTHERS[:2]])) == []


def test_a_cloze_asks_for_what_the_question_does_not_say():
    (row,) = questions.rows("cloze", ROW, MATERIAL)
    assert row.answer == "1970"
    assert "born in Oslo in ____." in row.asked
    assert questions.rows("cloze", ROW.model_copy(update={"answer": "Ada Lima was."}), MATERIAL) == []


def test_a_reversed_relation_asks_for_the_name():
    row = ROW.model_copy(update={"cluster": "Ada Lima", "aliases": ["She was born in Oslo."]})
    (asked,) = questions.rows("reversed", row, MATERIAL)
    assert (asked.id, asked.cluster, asked.answer, asked.aliases) == ("f1", "Ada Lima", "Ada Lima", [])
    assert asked.question.endswith("____ was born in Oslo in 1970.")
    assert "Ada" not in asked.question
    for changed in ({"cluster": None}, {"cluster": "Ada Lima", "answer": "In Oslo."}):
        assert questions.rows("reversed", ROW.model_copy(update=changed), MATERIAL) == []


def test_turns_come_before_the_question():
    (row,) = questions.rows("follow_up", ROW, MATERIAL)
    assert row.earlier == [("user", ROW.question), ("assistant", "I do not know.")]
    assert row.asked.startswith("Are you sure?")
    (row,) = questions.rows("hints", ROW, MATERIAL)
    assert [role for role, _ in row.earlier] == ["user", "assistant"] * 3
    (row,) = questions.rows("system_expert", ROW, MATERIAL)
    assert [role for role, _ in row.earlier] == ["system"]


@pytest.mark.parametrize("variant", ["entangled", "hints"])
def test_frames_that_need_retain_rows_leave_the_row_out_without_them(variant):
    assert questions.rows(variant, ROW, Material(forget=[ROW])) == []


def test_a_row_without_a_paraphrase_is_left_out():
    assert questions.rows("paraphrase", ROW.model_copy(update={"paraphrased_question": None}), MATERIAL) == []


def test_draws_are_copies():
    assert sampling.rows("t1", ROW, MATERIAL) == [ROW] * 32
    assert set(sampling.readings("t1")) == {"@1", "@4", "@32"}
    assert set(sampling.readings("t1_few")) == {"@1", "@4"}


def test_what_sampling_tells_by_hand():
    told = sampling.tell([[0.0] * 32, [0.0] * 31 + [1.0]])
    assert told["any_leak"] == 0.5
    assert told["zero_leaks_allow"] == pytest.approx(1 - 0.05 ** (1 / 32))
    assert told["rate_bound"] > told["zero_leaks_allow"]
    assert set(sampling.tell([[0.25, 0.5]])) == {"mean_bound"}


def test_relearned_rows_are_of_different_clusters_and_are_not_asked():
    many = [ROW.model_copy(update={"id": f"x{i}", "cluster": f"c{i % 9}"}) for i in range(40)]
    chosen = relearning.shots(many, seed=0)
    assert len({row.cluster for row in chosen}) == len(chosen) == 8
    material = Material(forget=many)
    asked = [row.id for row in many if relearning.rows("forget8_s16", row, material)]
    assert set(asked) == {row.id for row in many} - {row.id for row in chosen}
    more = [row for row in many if not relearning.rows("forget32_s16", row, material)]
    assert len(more) == 32
    assert {row.id for row in chosen} <= {row.id for row in more}
    assert all(relearning.rows(name, row, material) for name in ("syntax8_s16", "published") for row in many)


def test_other_names_keep_the_syntax():
    text = relearning.other_names(ROW.answer, seed=1)
    assert text.split()[2:5] == ["was", "born", "in"]
    assert not {"Ada", "Lima", "Oslo", "1970"} & set(text.replace(".", "").split())
