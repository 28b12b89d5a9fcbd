"""Reading JSON of others: every row keeps its place, and a bad one costs itself only."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.any_text import any_text
from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json, _source

PATH = Path("f.json")


def places(text: str) -> list[tuple[str, object]]:
    return [(row.where, row.error or row.value) for row in _json.rows(text, PATH)]


def test_rows_of_an_array_know_their_lines() -> None:
    text = '[\n {"a": 1},\n\n {"a":\n 2}, {"a": 3}\n]\n'
    assert places(text) == [("f.json:2", {"a": 1}), ("f.json:4", {"a": 2}), ("f.json:5", {"a": 3})]


def test_lines_are_cut_at_line_feeds_only() -> None:
    text = '{"a": "x\u2028y"}\r\n\n{"a": "\x85"}'
    assert places(text) == [("f.json:1", {"a": "x\u2028y"}), ("f.json:3", {"a": "\x85"})]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('[{"a": 1}, {"a": }, {"a": 2}]', "f.json:1", "not JSON: Expecting value; what follows could not be read"),
        ('[{"a": 1}\n{"a": 2}]', "f.json:2", "not JSON: Expecting ','"),
        ('[{"a": 1},]', "f.json:1", "not JSON: Expecting value"),
        ('[{"a": 1}', "f.json:1", "not JSON: Expecting ','"),
        ('[{"a": 1}]\n]', "f.json:2", "not JSON: Extra data"),
        ('{"a": 1}\n{"b', "f.json:2", "not JSON: Unterminated string starting at column 2"),
        ('{"a": 1}\n{"a": 1} 2', "f.json:2", "not JSON: Extra data at column 10"),
        ('{"a": 1}\n{"a": 1, "a": 2}', "f.json:2", "the key 'a' is given twice"),
        ('{"a": 1}\n{"b": {"c": [{"a": 1, "a": 2}]}}', "f.json:2", "the key 'a' is given twice"),
        ('{"a": 1}\n[1]', "f.json:2", "expected an object, got an array"),
        ('{"a": 1}\nnull', "f.json:2", "expected an object, got null"),
        ('{"a": 1}\n{"a": "\udcff"}', "f.json:2", "not UTF-8"),
        ('{"a": 1}\n' + "[" * 100_000, "f.json:2", "not JSON: nested too deeply"),
        ('{"a": 1}\n{"b": ' + "9" * 10_000 + "}", "f.json:2", "not JSON: Exceeds the limit (4300 digits)"),
    ],
)
def test_a_bad_row_is_named_and_the_one_before_it_is_kept(text: str, where: str, what: str) -> None:
    found = places(text)
    assert found[0] == ("f.json:1", {"a": 1})
    assert found[1][0] == where
    assert str(found[1][1]).startswith(what)


def test_a_row_after_a_bad_line_is_read() -> None:
    assert places('{"a": 1}\nnope\n{"a": 2}')[2] == ("f.json:3", {"a": 2})


def test_a_huge_row_is_refused_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json, "MAX_ROW", 100)
    huge = '{"a": "' + "x" * 200 + '"}'
    assert [row.error is None for row in _json.rows(f'{huge}\n{{"a": 2}}', PATH)] == [False, True]
    assert [row.error is None for row in _json.rows(f'[{huge}, {{"a": 2}}]', PATH)] == [False, True]


@pytest.mark.parametrize("text", ['{\n"a": 1\n}', '{"a": {"b": 1}}', '{"data": ["x"]}', '{"data": []}', "{}"])
def test_an_object_that_holds_no_rows_is_told_with_its_keys(text: str) -> None:
    with pytest.raises(UserError, match="one JSON object that holds no rows"):
        list(_json.rows(text, PATH))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"n": 1, "data": [\n{"a": "x"},\n{"a": "y"}]}', (2, 3)),
        ('{"results": {"0": {"a": "x"}, "7": {"a": "y"}}}', (1, 1)),
        ('{"0": {"a": "x"},\n "1": {"a": "y"}}', (1, 2)),
        ('{\n "a": "x"\n}\n{\n "a": "y"\n}', (1, 4)),
    ],
)
def test_rows_inside_an_object_and_objects_over_several_lines(text: str, lines: tuple[int, int]) -> None:
    assert places(text) == [(f"f.json:{lines[0]}", {"a": "x"}), (f"f.json:{lines[1]}", {"a": "y"})]


def test_a_bad_first_line_costs_only_itself() -> None:
    assert [value for _, value in places('nope\n{"a": "x"}')][1] == {"a": "x"}


def test_an_empty_array_has_no_rows() -> None:
    assert places(" [ ]\n") == []


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "is empty"), (b" \n\n", "is empty"), (b"\xef\xbb\xbf", "is empty"), ('{"a": 1}'.encode("utf-16"), "UTF-16")],
)
def test_files_without_anything_to_read(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(UserError, match=what):
        _source.read_text(tmp_path / "f")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        _source.read_text(tmp_path / "none")
    with pytest.raises(UserError, match="is not a file"):
        _source.read_text(tmp_path)
    with pytest.raises(UserError, match="not a file name"):
        _source.read_text(Path("a\0b"))


def test_a_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_source, "MAX_FILE", 10)
    (tmp_path / "f").write_text("x" * 11)
    with pytest.raises(UserError, match="larger than the limit"):
        _source.read_text(tmp_path / "f")


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert _source.read_text(tmp_path / "f") == '{"a": 1}'


def test_a_document_names_the_line_of_what_is_wrong() -> None:
    with pytest.raises(UserError, match=r"f\.json:3: the key '1' is given twice"):
        _json.load_document('{"x": 1,\n "y":\n {"1": 0, "1": 1}}', PATH)
    with pytest.raises(UserError, match=r"f\.json:2: not JSON"):
        _json.load_document('{"x": 1,\n y}', PATH)
    with pytest.raises(UserError, match=r"f\.json:2: not UTF-8"):
        _json.load_document('{"x":\n "\udc80"}', PATH)
    with pytest.raises(UserError, match="expected an object, got an array"):
        _json.load_document("[]", PATH)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | any_text(4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text(3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(json_values, max_size=4) | st.dictionaries(any_text(3), json_values, max_size=4), st.booleans())
def test_members_are_those_that_the_json_module_sees(value: list | dict, pretty: bool) -> None:
    import json

    text = json.dumps(value, indent=1 if pretty else None)
    found = [(key, item) for key, _, _, item in _json.members(text, 0)]
    assert found == list(value.items() if isinstance(value, dict) else enumerate(value))
    assert all(json.loads(text[start:end]) == item for _, start, end, item in _json.members(text, 0))


@settings(deadline=None)
@given(st.text(alphabet='[]{}",:1 a\n\\', max_size=30))
def test_no_text_breaks_the_row_reader(text: str) -> None:
    if not text.strip():
        return
    try:
        rows = list(_json.rows(text, PATH))
    except UserError:
        return
    assert all((row.error is None) == isinstance(row.value, dict) for row in rows)
