"""Rows of other programs: containers, keys and values as they are found in the wild."""

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.errors import UserError
from unlearn_bench.formats import _fields, _source
from unlearn_bench.schema import Response

ROW = {"question": "Who?", "reference": "Ann", "response": "Bo"}


def read_all(path: Path) -> list[Response]:
    """The answers of a file that has to be without fault."""
    readings = formats.read(path, role="forget")
    if readings.errors:
        raise UserError("\n".join(readings.errors))
    return readings.responses


def write(path: Path, rows: list[object], *, lines: bool = True) -> Path:
    text = "\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("lines", [True, False])
def test_rows_become_responses(tmp_path: Path, lines: bool) -> None:
    path = write(
        tmp_path / "npo.json", [ROW, {**ROW, "id": 7, "cluster": "ann", "split": "retain", "other": 1}], lines=lines
    )
    found = formats.read(path, role="retain")
    first, second = found.responses
    assert (first.id, first.task, first.role, first.cluster) == ("0", "npo_retain", "retain", None)
    assert (first.question, first.reference, first.response) == ("Who?", "Ann", "Bo")
    assert (second.id, second.cluster) == ("7", "ann")
    assert found.errors == []


@pytest.mark.parametrize("question", ["question", "query"])
@pytest.mark.parametrize("reference", ["reference", "ground_truth", "gt"])
@pytest.mark.parametrize("response", ["response", "generated_response", "prediction", "pred"])
def test_aliases(tmp_path: Path, question: str, reference: str, response: str) -> None:
    path = write(tmp_path / "a.jsonl", [{question: "Who?", reference: "Ann", response: "Bo"}])
    (found,) = formats.read(path, role="forget").responses
    assert (found.question, found.reference, found.response) == ("Who?", "Ann", "Bo")


def test_the_name_itself_wins_over_aliases_and_unlike_aliases_are_refused(tmp_path: Path) -> None:
    rows = [{**ROW, "pred": "C"}, {"question": "Q", "gt": "x", "pred": "1", "prediction": "2"}]
    found = formats.read(write(tmp_path / "a.jsonl", rows), role="forget")
    assert [r.response for r in found.responses] == ["Bo"]
    (error,) = found.errors
    assert error.startswith(f"{tmp_path / 'a.jsonl'}:2: prediction and pred differ: which is the response? (--map")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"question": "Q", "reference": "R"}, "no 'response' among the keys 'question', 'reference' (understood: "),
        ({**ROW, "response": True}, "'response' must be text, got True"),
        ({**ROW, "response": {"score": 1}}, "'response' must be text"),
        ({**ROW, "question": " "}, "'question' is empty"),
        ({**ROW, "reference": False}, "'reference' must be text"),
        ({"question": "Q", "response": "R"}, "no 'reference' among the keys"),
        ({**ROW, "id": 0.5}, "'id' must be text or a whole number"),
        ({**ROW, "id": "1"}, "id '1' is taken by a row before"),
        ([1], "expected an object, got an array"),
    ],
)
def test_a_malformed_row_is_named_and_the_others_are_read(tmp_path: Path, row: object, what: str) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "id": "1"}, row, {**ROW, "id": "3"}])
    found = formats.read(path, role="forget")
    assert [r.id for r in found.responses] == ["1", "3"]
    (error,) = found.errors
    assert error.startswith(f"{path}:2: {what}")


def test_an_empty_answer_is_an_answer_and_an_empty_reference_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "response": ""}, {**ROW, "reference": None}])
    empty, without = formats.read(path, role="forget").responses
    assert empty.response == ""
    assert without.reference is None


def test_fluency_rows_need_no_reference(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": "Q", "response": "R"}])
    assert formats.read(path, role="fluency").responses[0].reference is None


def test_split_of_the_rows_is_a_choice_among_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "split": "forget"}, {**ROW, "split": "retain"}])
    assert [r.role for r in formats.read(path).responses] == ["forget", "retain"]
    assert [r.role for r in formats.read(path, role="retain").responses] == ["retain"]
    with pytest.raises(UserError, match="none of role world"):
        formats.read(path, role="world")


def test_without_a_split_the_command_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--role forget"):
        formats.read(write(tmp_path / "a.jsonl", [ROW]))


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "Q", "reference": "R", "response": "a\\ud83d"}')
    assert formats.read(tmp_path / "a.jsonl", role="forget").responses[0].response == "a\ufffd"


def test_bytes_that_are_no_text_spoil_their_row_only(tmp_path: Path) -> None:
    good = json.dumps(ROW).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, good.replace(b"Bo", b"\xff\xfe"), good]))
    found = formats.read(tmp_path / "a.jsonl", role="forget")
    assert [r.id for r in found.responses] == ["0", "2"]
    assert found.errors == [f"{tmp_path / 'a.jsonl'}:2: not UTF-8"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"text": "a", "label": 1}', "no 'question' among the keys 'text', 'label'"),
        ('{"question": "Q"}', "no 'response' among the keys 'question'"),
        ("a,b\n1,2", "format not recognised; it begins with 'a,b"),
        ("\x00\x01", "format not recognised"),
        ("[]", "no answers in it"),
    ],
)
def test_what_is_no_answer_is_told_with_what_was_found(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a").write_text(text)
    try:
        found = formats.read(tmp_path / "a", role="forget").errors[0]
    except UserError as error:
        found = str(error)
    assert what in found


def test_one_message_for_many_rows_without_an_answer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of its 3 rows is an answer: no 'question' among the keys 'text'"):
        formats.read(write(tmp_path / "a.jsonl", [{"text": "a"}] * 3), role="forget")


CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Who?"}]


@pytest.mark.parametrize(
    "row",
    [
        {"Question": "Who?", "Ground Truth": "Ann", "modelAnswer": "Bo"},
        {"question": "Who?", "answer": "Ann", "prediction": "Bo"},  # TOFU's word for the reference
        {"query": "Who?", "reference": "Ann", "answer": "Bo"},
        {"prompt": "Who?", "answer": "Ann", "output": "Bo"},
        {"prompt": "Who?", "gt": "Ann", "response": "Bo"},
        {"question": "Who?", "reference": ["Ann"], "response": ["Bo"]},
        {"question": "Who?", "reference": "Ann", "output": {"text": "Bo", "logprob": -1.0}},
        {"question": "Who?", "reference": "Ann", "response": [{"generated_text": "Bo"}]},
        {"messages": [*CHAT, {"role": "assistant", "content": "Bo"}], "reference": "Ann"},
        {"messages": [*CHAT, {"role": "assistant", "content": [{"type": "text", "text": "Bo"}]}], "target": "Ann"},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Bo"}], "answer": "Ann"},
        {"messages": CHAT, "generated": "Bo", "answer": "Ann"},
    ],
)
def test_rows_as_other_programs_write_them(tmp_path: Path, row: dict) -> None:
    (found,) = formats.read(write(tmp_path / "a.jsonl", [row]), role="forget").responses
    assert (found.question, found.reference, found.response) == ("Who?", "Ann", "Bo")


def test_values_that_are_no_text(tmp_path: Path) -> None:
    rows = [
        {**ROW, "response": 42, "reference": 1945},
        {**ROW, "response": None},
        {**ROW, "reference": ["Ann", "Anna"]},
        {"instruction": "Answer.", "input": "Who?", "answer": "Ann", "response": "Bo"},
    ]
    found = formats.read(write(tmp_path / "a.jsonl", rows), role="forget")
    number, null, several, alpaca = found.responses
    assert (number.response, number.reference) == ("42", "1945")
    assert (null.response, null.missing) == ("", "no_answer_in_file")  # no answer is not an empty answer
    assert several.reference == "Ann"
    assert alpaca.question == "Answer.\n\nWho?"
    assert found.notes == ["a.jsonl: rows with several values of reference, of which the first counts: 1"]


def test_a_mapping_names_any_key(tmp_path: Path) -> None:
    row = {"q1": "Who?", "gold": {"value": {"de": "Ann"}}, "out": [{"x": "Bo"}], "n": 7, "who": "ann"}
    mapping = _fields.parse_map("question=q1,reference=gold.value.de,response=out.0.x,id=n,cluster=who")
    (found,) = formats.read(write(tmp_path / "a.jsonl", [row]), role="forget", mapping=mapping).responses
    assert (found.question, found.reference, found.response) == ("Who?", "Ann", "Bo")
    assert (found.id, found.cluster) == ("7", "ann")
    wrong = formats.read(write(tmp_path / "b.jsonl", [row]), role="forget", mapping={**mapping, "response": "out.1"})
    assert "no 'out.1' for the response (--map) among the keys 'q1'" in wrong.errors[0]
    for text, what in (("question", "expected FIELD=KEY"), ("qestion=a", "did you mean question")):
        with pytest.raises(UserError, match=what):
            _fields.parse_map(text)


def test_a_row_may_bring_its_agreement(tmp_path: Path) -> None:
    rows = [{**ROW, "agreement": value} for value in (0.25, "0.5", 1, "", None, "yes", 85)]
    found = formats.read(write(tmp_path / "a.jsonl", rows), role="forget")
    assert [r.given and r.given.agreement for r in found.responses] == [0.25, 0.5, 1.0, None, None, None, None]
    mapped = formats.read(write(tmp_path / "b.jsonl", rows), role="forget", mapping={"agreement": "agreement"})
    assert len(mapped.responses) == 5
    assert [error.partition(": ")[2] for error in mapped.errors] == [
        f"'agreement' must be a number from 0 to 1, got {value}" for value in ("'yes'", "85")
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'question,reference,response,cluster\n"Who, and when?",Ann,"Bo ""B"", they say",x\n\nWho?,,,\n'),
        ("a.tsv", 'question\treference\tresponse\tcluster\nWho, and when?\tAnn\t"Bo ""B"", they say"\tx\nWho?\t\t\t\n'),
        ("answers", 'Question;Reference;Response;Cluster\r\nWho, and when?;Ann;"Bo ""B"", they say";x\r\nWho?;;;\r\n'),
    ],
)
def test_csv(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, newline="")
    first, second = formats.read(tmp_path / name, role="fluency").responses
    assert (first.question, first.reference, first.response) == ("Who, and when?", "Ann", 'Bo "B", they say')
    assert (first.cluster, second.cluster) == ("x", None)
    assert (second.reference, second.response) == (None, "")


def test_csv_rows_of_another_width_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,reference,response\nWho?,Ann,Bo\nWho?,Ann,Bo,Cy\n")
    found = formats.read(tmp_path / "a.csv", role="forget")
    assert len(found.responses) == 1
    assert found.errors[0].startswith(f"{tmp_path / 'a.csv'}:3: 4 cells under 3 headings")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files(tmp_path: Path, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl.packed"
    path.write_bytes(pack(json.dumps(ROW).encode()))
    assert formats.read(path, role="forget").responses[0].response == "Bo"
    path.write_bytes(pack(json.dumps(ROW).encode())[:-6])
    with pytest.raises(UserError, match="cannot be unpacked"):
        formats.read(path, role="forget")
    path.write_bytes(pack(b" " * 5000))
    monkeypatch.setattr(_source, "MAX_FILE", 1000)
    with pytest.raises(UserError, match="larger than the limit"):
        formats.read(path, role="forget")


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"question": ["Who?"], "answer": ["Ann"], "prediction": ["Bo"], "n": [1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    (found,) = formats.read(tmp_path / "a.parquet", role="forget").responses
    assert (found.question, found.reference, found.response) == ("Who?", "Ann", "Bo")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:60])
    with pytest.raises(UserError, match="not a readable Parquet file"):
        formats.read(tmp_path / "b.parquet", role="forget")


def test_splits_named_as_datasets_name_them_and_rows_left_out_are_told(tmp_path: Path) -> None:
    rows = [{**ROW, "split": "forget10"}, {**ROW, "split": "retain90", "id": "r"}, {**ROW, "split": "test"}]
    found = formats.read(write(tmp_path / "a.jsonl", rows), role="forget")
    assert [r.role for r in found.responses] == ["forget", "forget"]
    assert found.notes == ["a.jsonl: rows of role retain left out, as --role forget asks: 1"]
    unsaid = formats.read(write(tmp_path / "b.jsonl", rows))
    assert "split 'test' says no role; add --role" in unsaid.errors[0]


def test_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UserError, match="no answers in it"):
        formats.read(tmp_path / "a.json", form="table", role="forget")


def test_an_unknown_format_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean tofu_log"):
        formats.read(write(tmp_path / "a", [ROW]), form="tofu_logs")


def test_a_long_first_question_does_not_hide_the_format(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "question": "why " * 25_000}])
    assert formats.read(path, role="forget").responses[0].response == "Bo"


CSV = "question,reference,response\n"


@pytest.mark.parametrize(
    ("name", "text", "answers"),
    [
        ("mac.csv", CSV.replace("\n", "\r") + "Who?,Ann,Bo\r", ["Bo"]),
        ("blank.csv", "\n \n" + CSV + "Who?,Ann,Bo\n", ["Bo"]),
        ("excel.csv", "sep=;\n" + CSV.replace(",", ";") + "Who?;Ann;Bo, not Al\n", ["Bo, not Al"]),
        ("named.csv", "question;reference;response;a,b,c,d\nWho?;Ann;Bo;1\n", ["Bo"]),
        ("long.csv", CSV + f"Who?,Ann,{'Bo ' * 50_000}\n", ["Bo " * 50_000]),
        ("holder.json", '{"model": "m", "results": [{"question": "Q", "reference": "R", "response": "A"}]}', ["A"]),
        ("row.json", '{"prompt": "Q", "gold": "R", "outputs": [{"text": "A"}]}', ["A"]),
        ("nan.json", '[{"question": "Q", "reference": "R", "response": NaN}]', [""]),
    ],
)
def test_files_of_other_programs(tmp_path: Path, name: str, text: str, answers: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    readings = formats.read(path, role="forget")
    assert [r.response for r in readings.responses] == answers
    assert [r.missing is not None for r in readings.responses] == [name == "nan.json"]
    assert not readings.errors


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", '[{"question": "Q", "reference": 1e999, "response": "A"}]', "'reference' must be text, got inf"),
        ("a.tsv", CSV.replace(",", "\t") + 'Who?\tAnn\t"Bo\nWho?\tAnn\tAl\n', "a.tsv:2: a quote is opened here"),
        ("a.csv", CSV + 'Who?,Ann,"Bo\nWho?,Ann,"Al\n', "a.csv:2: text after a closing quote"),
        ("a.csv", "question,reference,response,response\nWho?,Ann,Bo,Al\n", "two columns are named 'response'"),
        ("a.csv", "question,reference,response,Response\nWho?,Ann,Bo,Al\n", "'response' and 'Response' differ"),
        ("a.json", '{"question": ["Q", "P"], "reference": ["R", "R"], "response": ["A", "B"]}', "several values"),
    ],
)
def test_rows_that_would_be_read_wrongly_are_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(told)):
        read_all(path)


def test_a_column_of_bytes_is_text(tmp_path: Path) -> None:
    from pyarrow import parquet, table

    parquet.write_table(table({"question": ["Q"], "reference": ["R"], "response": ["Köln".encode()]}), tmp_path / "a")
    assert [r.response for r in read_all(tmp_path / "a")] == ["Köln"]


def test_a_field_is_mapped_once() -> None:
    with pytest.raises(UserError, match="the key of question twice: a and b"):
        _fields.parse_map("question=a,question=b")


def test_a_sample_log_of_one_row_with_a_number_as_its_target(tmp_path: Path) -> None:
    row = {"doc_id": 0, "doc": {"question": "How many?"}, "target": 3, "resps": [["3"]]}
    found = read_all(write(tmp_path / "a.jsonl", [row]))
    assert [(r.question, r.reference, r.response) for r in found] == [("How many?", "3", "3")]


def test_the_reasoning_of_a_chat_is_kept(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "reasoning_content": "Hm."}]
    found = read_all(write(tmp_path / "a.jsonl", [{"messages": turns, "reference": "R"}]))
    assert [r.response for r in found] == ["<think>\nHm.\n</think>\n\nA"]
