"""Kept replies: whole lines or none, two writers, and files that somebody has changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.judges import verdicts
from unlearn_bench.judges.verdicts import Identity, Kept, KeptFile, Line, key_of

WHO = Identity(model="fake", endpoint="local", temperature=0.0, json_mode="json_object", prompts=1)


def line(number: int, said: str = '{"verdict": "no", "grade": 1}') -> Line:
    key = key_of(WHO, [{"role": "user", "content": str(number)}])
    return Line(key=key, judge=WHO, asked="forget", said=said, tokens=(7, 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.jsonl"


def test_a_reply_is_on_the_disk_before_the_next_is_asked(path: Path) -> None:
    kept = Kept(path)
    kept.add(line(1))
    assert path.read_text().count("\n") == 1
    assert Kept(path).get(line(1).key) == line(1)
    assert Kept(path).get(line(2).key) is None


def test_what_can_change_a_reply_is_in_its_key() -> None:
    messages = [{"role": "user", "content": "Q"}]
    changed = [
        {"model": "other"},
        {"endpoint": "a.example"},
        {"temperature": 0.7},
        {"json_mode": "none"},
        {"prompts": 2},
    ]
    keys = {key_of(WHO.model_copy(update=change), messages) for change in ({}, *changed)}
    assert len(keys) == 6
    assert key_of(WHO, [{"role": "user", "content": "Q "}]) not in keys


def test_half_a_line_of_a_killed_run_is_taken_off_and_asked_again(path: Path) -> None:
    kept = Kept(path)
    kept.add(line(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "0123')
    again = Kept(path)
    assert path.read_bytes() == whole
    again.add(line(2))
    assert [one.key for one in KeptFile(path).lines()] == [line(1).key, line(2).key]


def test_a_file_from_elsewhere_is_not_repaired(path: Path) -> None:
    path.write_text(line(1).model_dump_json() + "\n" + '{"key": "0123')
    with pytest.raises(UserError, match="ends within a line"):
        KeptFile(path)
    assert path.read_text().endswith('{"key": "0123')


def test_what_another_writer_kept_first_counts(path: Path) -> None:
    one, other = Kept(path), Kept(path)
    one.add(line(1, "first"))
    assert other.add(line(1, "second")).said == "first"
    assert other.add(line(2)).said == line(2).said
    assert one.add(line(2, "late")).said == line(2).said
    assert len(KeptFile(path).lines()) == 2


def test_two_processes_write_one_file(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from unlearn_bench.judges.verdicts import Identity, Kept, Line, key_of\n"
        "who = Identity(model='fake', endpoint='local', temperature=0.0, json_mode='json_object', prompts=1)\n"
        "kept = Kept(Path(sys.argv[1]))\n"
        "for i in range(60):\n"
        "    key = key_of(who, [{'role': 'user', 'content': str(i)}])\n"
        "    kept.add(Line(key=key, judge=who, asked='forget', said=sys.argv[2] * 500, tokens=(7, 3)))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    lines = KeptFile(path).lines()
    assert len(lines) == 60
    assert {one.said for one in lines} <= {"a" * 500, "b" * 500}


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(line(1).model_dump_json()), **changes})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "not a judge's reply"),
        ("[1]", "not a judge's reply"),
        ("nonsense", "not JSON"),
        (changed(key="abc"), "key"),
        (changed(extra=1), "extra"),
        (changed(asked="taste"), "asked"),
        (changed(said="x" * 4_001), "said"),
        (changed(tokens=[-1, 3]), "tokens"),
        (changed(tokens=[1e300, 3]), "tokens"),
        (changed(judge={"model": "x"}), "judge"),
        (line(1).model_dump_json()[:-1] + ', "key": "' + "0" * 64 + '"}', "given twice"),
        ("x" * 70_000, "longer than"),
    ],
)
def test_a_line_that_is_none_is_named(path: Path, text: str, said: str) -> None:
    path.write_text(line(2).model_dump_json() + "\n" + text + "\n")
    with pytest.raises(UserError, match=said) as error:
        KeptFile(path)
    assert ":2" in str(error.value)
    with pytest.raises(UserError, match=said):
        Kept(path)


def test_one_question_with_two_replies_is_refused(path: Path) -> None:
    path.write_text(f"{line(1).model_dump_json()}\n{line(1, 'yes').model_dump_json()}\n")
    with pytest.raises(UserError, match="one question has one reply"):
        KeptFile(path)


def test_limits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(line(1).model_dump_json() + "\n")
    monkeypatch.setattr(verdicts, "MAX_FILE", 10)
    for read in (Kept, KeptFile):
        with pytest.raises(UserError, match="larger than the limit"):
            read(path)
    with pytest.raises(UserError, match="does not exist"):
        KeptFile(path.with_name("none"))
