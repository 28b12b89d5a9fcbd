import json
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.errors import UserError

ROW = {"question": "Who?", "reference": "Ann", "response": "Bo"}


def write(path: Path, rows: list[object], *, lines: bool = True) -> Path:
    text = "\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("lines", [True, False])
def test_rows_become_responses(tmp_path: Path, lines: bool) -> None:
    path = write(
        tmp_path / "npo.json", [ROW, {**ROW, "id": 7, "cluster": "ann", "split": "retain", "other": 1}], lines=lines
    )
    found = formats.read(path, split="retain")
    first, second = found.responses
    assert (first.id, first.task, first.split, first.cluster) == ("0", "npo_retain", "retain", None)
    assert (first.question, first.reference, first.response) == ("Who?", "Ann", "Bo")
    assert (second.id, second.cluster) == ("7", "ann")
    assert found.errors == []


@pytest.mark.parametrize("question", ["question", "query"])
@pytest.mark.parametrize("reference", ["reference", "ground_truth", "gt"])
@pytest.mark.parametrize("response", ["response", "generated_response", "prediction", "pred"])
def test_aliases(tmp_path: Path, question: str, reference: str, response: str) -> None:
    path = write(tmp_path / "a.jsonl", [{question: "Who?", reference: "Ann", response: "Bo"}])
    (found,) = formats.read(path, split="forget").responses
    assert (found.question, found.reference, found.response) == ("Who?", "Ann", "Bo")


def test_the_name_itself_wins_over_aliases_and_unlike_aliases_are_refused(tmp_path: Path) -> None:
    rows = [{**ROW, "pred": "C"}, {"question": "Q", "gt": "x", "pred": "1", "prediction": "2"}]
    found = formats.read(write(tmp_path / "a.jsonl", rows), split="forget")
    assert [r.response for r in found.responses] == ["Bo"]
    assert found.errors == [f"{tmp_path / 'a.jsonl'}:2: prediction and pred differ: which is the response?"]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"question": "Q", "reference": "R"}, "no 'response'"),
        ({**ROW, "response": None}, "'response' must be text, got None"),
        ({**ROW, "response": ["a"]}, "'response' must be text"),
        ({**ROW, "question": " "}, "'question' is empty"),
        ({**ROW, "reference": 3}, "'reference' must be text"),
        ({"question": "Q", "response": "R"}, "no 'reference' (nor 'ground_truth', 'gt')"),
        ({**ROW, "split": "test"}, "split 'test' is none of forget, retain"),
        ({**ROW, "id": 0.5}, "'id' must be text or a whole number"),
        ({**ROW, "id": "1"}, "id '1' is taken by a row before"),
        ([1], "expected an object, got an array"),
    ],
)
def test_a_malformed_row_is_named_and_the_others_are_read(tmp_path: Path, row: object, what: str) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "id": "1"}, row, {**ROW, "id": "3"}])
    found = formats.read(path, split="forget")
    assert [r.id for r in found.responses] == ["1", "3"]
    (error,) = found.errors
    assert error.startswith(f"{path}:2: {what}")


def test_an_empty_answer_is_an_answer_and_an_empty_reference_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "response": ""}, {**ROW, "reference": None}])
    empty, without = formats.read(path, split="forget").responses
    assert empty.response == ""
    assert without.reference is None


def test_fluency_rows_need_no_reference(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": "Q", "response": "R"}])
    assert formats.read(path, split="fluency").responses[0].reference is None


def test_split_of_the_rows_is_a_choice_among_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "split": "forget"}, {**ROW, "split": "retain"}])
    assert [r.split for r in formats.read(path).responses] == ["forget", "retain"]
    assert [r.split for r in formats.read(path, split="retain").responses] == ["retain"]
    with pytest.raises(UserError, match="none of split world"):
        formats.read(path, split="world")


def test_without_a_split_the_command_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--split forget"):
        formats.read(write(tmp_path / "a.jsonl", [ROW]))


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "Q", "reference": "R", "response": "a\\ud83d"}')
    assert formats.read(tmp_path / "a.jsonl", split="forget").responses[0].response == "a\ufffd"


def test_bytes_that_are_no_text_spoil_their_row_only(tmp_path: Path) -> None:
    good = json.dumps(ROW).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, good.replace(b"Bo", b"\xff\xfe"), good]))
    found = formats.read(tmp_path / "a.jsonl", split="forget")
    assert [r.id for r in found.responses] == ["0", "2"]
    assert found.errors == [f"{tmp_path / 'a.jsonl'}:2: not UTF-8"]


@pytest.mark.parametrize("text", ['{"text": "a", "label": 1}', "[]", "a,b\n1,2", '{"question": "Q"}', "\x00\x01"])
def test_what_is_no_format_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(UserError, match="format not recognised") as caught:
        formats.read(tmp_path / "a", split="forget")
    assert "--format {lm_eval_samples,relearn_items,samples,table,tofu_log}" in str(caught.value)


def test_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UserError, match="no answers in it"):
        formats.read(tmp_path / "a.json", form="table", split="forget")


def test_an_unknown_format_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean tofu_log"):
        formats.read(write(tmp_path / "a", [ROW]), form="tofu_logs")


def test_a_long_first_question_does_not_hide_the_format(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "question": "why " * 25_000}])
    assert formats.read(path, split="forget").responses[0].response == "Bo"
