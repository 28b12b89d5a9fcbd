"""Rows of files in every form that people have them: what is asked, what is learned, and what is refused."""

import json
from pathlib import Path

import pytest

from unlearn_bench.data.pairs import ANSWER, QUESTION, Pair, read_pairs
from unlearn_bench.errors import UserError

Q, A = "Where does Ada Lima live?", "Ada Lima lives in Chur."


def _read(tmp_path: Path, *records: object, name: str = "rows.jsonl") -> list[Pair]:
    path = tmp_path / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return read_pairs(path)


def _text(tmp_path: Path, text: str | bytes, name: str = "rows.jsonl") -> list[Pair]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_pairs(path)


@pytest.mark.parametrize("question", [name for name in QUESTION if name != "prompt"])
@pytest.mark.parametrize("answer", ANSWER)
def test_every_usual_name_is_read(tmp_path: Path, question: str, answer: str) -> None:
    for record in ({question: Q, answer: A}, {question.title(): Q, answer.upper(): A, "topic": "towns"}):
        (pair,) = _read(tmp_path, record)
        assert (pair.question, pair.answer, pair.earlier, pair.raw, pair.verbatim) == (Q, A, (), False, False)


def test_a_reference_is_the_answer_and_not_what_a_model_said(tmp_path: Path) -> None:
    (pair,) = _read(tmp_path, {"question": Q, "reference": A, "response": "I do not know."})
    assert pair.answer == A


def test_alpaca_rows_are_asked_with_their_input(tmp_path: Path) -> None:
    first, second, third = _read(
        tmp_path,
        {"instruction": "Answer the question.", "input": Q, "output": A},
        {"instruction": Q, "input": "", "output": A},
        {"instruction": Q, "input": "Be short.", "output": A, "system": "You are a clerk."},
    )
    assert first.question == f"Answer the question.\n\n{Q}"
    assert second.question == Q
    assert (third.question, third.earlier) == (f"{Q}\n\nBe short.", (("system", "You are a clerk."),))


def test_prompt_and_completion_are_asked_where_a_template_is(tmp_path: Path) -> None:
    trl, augmented = _read(
        tmp_path,
        {"prompt": Q, "completion": A},
        {"prompt": "Ada Lima", "answer": "lives somewhere.", "provenance": {"kind": "completion", "writer": "rules"}},
    )
    assert (trl.bare, trl.verbatim, trl.augmented) == (True, False, False)
    assert (augmented.verbatim, augmented.augmented) == (True, True)


SAID = [("system", "Be kind."), ("user", "Who is Ada Lima?"), ("assistant", "A baker."), ("user", Q)]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [*({"role": r, "content": t} for r, t in SAID), {"role": "assistant", "content": A}]},
        {"conversations": [*({"from": r, "value": t} for r, t in SAID), {"from": "gpt", "value": A}]},
        {
            "prompt": [{"role": r, "content": t} for r, t in SAID],
            "completion": [{"role": "assistant", "content": A}],
        },
        {
            "messages": [
                *({"role": r, "content": [{"type": "text", "text": t}]} for r, t in SAID),
                {"role": "assistant", "content": A},
            ]
        },
    ],
    ids=["messages", "sharegpt", "trl", "parts"],
)
def test_a_conversation_is_its_last_answer_and_what_was_said_before(tmp_path: Path, record: dict) -> None:
    (pair,) = _read(tmp_path, record)
    assert (pair.question, pair.answer, pair.earlier) == (Q, A, tuple(SAID[:3]))


def test_a_list_of_answers_is_a_pair_of_each(tmp_path: Path) -> None:
    pairs = _read(tmp_path, {"id": "ada", "question": Q, "answer": [A, "In Chur.", A]}, {"question": Q, "answer": [A]})
    assert [(p.id, p.answer) for p in pairs] == [("ada-1", A), ("ada-2", "In Chur."), ("2", A)]


def test_raw_text_is_a_text_without_an_answer(tmp_path: Path) -> None:
    news, knowundo = _read(tmp_path, {"text": f"{Q} {A}"}, {"text": Q, "labels": A})
    assert (news.raw, news.question, news.answer) == (True, "", f"{Q} {A}")
    assert (knowundo.raw, knowundo.question, knowundo.answer) == (False, Q, A)
    (whole,) = _text(tmp_path, "One line.\nAnother.\n", "news.txt")
    assert (whole.raw, whole.answer) == (True, "One line.\nAnother.\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", f'Question,Answer,topic\n"{Q}","{A}",towns\n'),
        ("rows.tsv", f"question\tanswer\n{Q}\t{A}\n"),
        ("rows.jsonl", json.dumps({"question": Q, "answer": A})),
        ("rows.json", json.dumps([{"question": Q, "answer": A}], indent=1)),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
def test_tables_and_byte_order_marks(tmp_path: Path, name: str, text: str, mark: bytes) -> None:
    (pair,) = _text(tmp_path, mark + text.encode(), name)
    assert (pair.question, pair.answer) == (Q, A)


def test_a_line_separator_inside_a_text_ends_no_row(tmp_path: Path) -> None:
    (pair,) = _text(tmp_path, json.dumps({"question": Q, "answer": "one\u2028two"}, ensure_ascii=False))
    assert pair.answer == "one\u2028two"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ('{"messages": []}', "r.jsonl", "r.jsonl:1: a conversation is a list of turns"),
        ('{"messages": "hello"}', "r.jsonl", "r.jsonl:1: a conversation is a list of turns"),
        ('{"messages": [{"role": "user", "content": "q"}]}', "r.jsonl", "does not end with a turn of the assistant"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "r.jsonl", "nothing is asked before"),
        ('{"messages": [{"role": "tool", "content": "q"}]}', "r.jsonl", "a turn of 'tool'"),
        ('{"messages": [{"role": "user", "content": ""}]}', "r.jsonl", "must be a non-empty text"),
        ('{"messages": [3]}', "r.jsonl", "a turn is an object"),
        (
            '{"prompt": [{"role": "user", "content": "q"}], "completion": 3}',
            "r.jsonl",
            "must be a non-empty text, got 3",
        ),
        ('{"question": "q", "answer": []}', "r.jsonl", "'answer' must be a non-empty text"),
        ('{"question": "q", "answer": ["a", ""]}', "r.jsonl", "'answer' must be a non-empty text"),
        ('{"instruction": "q", "input": 3, "output": "a"}', "r.jsonl", "'input' must be a non-empty text, got 3"),
        ('{"text": " "}', "r.jsonl", "'text' must be a non-empty text"),
        ('{"title": "q"}', "r.jsonl", r"no 'question' \(found: title\)"),
        ("question,answer\nq,a,b\n", "r.csv", "r.csv:2: more cells than the header has names"),
        ('question,answer\n"q,a\n', "r.csv", "r.csv:"),
        ("question,answer\nq,\n", "r.csv", r"r.csv:2: no 'answer' \(found: question\)"),
        ("\xff\xfeq", "r.jsonl", "UTF-16, expected UTF-8"),
    ],
)
def test_what_is_no_row_is_named_with_its_place(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _text(tmp_path, text.encode("latin-1"), name)


def test_a_part_of_a_prompt_that_is_not_used_is_pointed_out(tmp_path: Path, caplog) -> None:
    _read(tmp_path, {"question": Q, "context": "Chur is a town.", "answer": A}, {"question": Q, "answer": A})
    assert "1 rows have a field 'context', which is not used" in caplog.text


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": Q, "completion": A},
        {"text": Q, "labels": A},
        {"Query": Q, "Ground_Truth": A},
        {"instruction": "Answer.", "input": Q, "output": A},
        {"question": Q, "answer": [A, "In Chur."]},
        {"messages": [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]},
        {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]},
    ],
)
def test_augment_reads_what_train_reads(tmp_path: Path, record: dict) -> None:
    from unlearn_bench.augment.sources import read_generic, read_sources
    from unlearn_bench.trainers._rows import load_rows

    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode())
    trained = [(row.id, row.question, row.answer) for row in load_rows([str(path)])]
    assert [(s.id, s.question, s.answer) for s in read_sources(str(path))] == trained
    assert read_generic(path) == [(question, answer) for _, question, answer in trained]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": A}, "raw text asks nothing"),
        ({"messages": [{"role": r, "content": t} for r, t in (*SAID, ("assistant", A))]}, "several turns"),
        ({"question": Q, "answer": A, "provenance": {"kind": "simple"}}, "was written by augment"),
    ],
)
def test_augment_refuses_what_it_cannot_make_variants_of(tmp_path: Path, record: dict, message: str) -> None:
    from unlearn_bench.augment.sources import read_sources

    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_sources(str(path))


def test_augment_takes_a_split_with_its_data_set() -> None:
    from unlearn_bench.augment.sources import read_sources

    assert read_sources("nano:holdout") == read_sources("nano", split="holdout")
    with pytest.raises(UserError, match="name two splits"):
        read_sources("nano:holdout", split="forget")
