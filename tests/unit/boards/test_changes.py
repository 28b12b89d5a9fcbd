"""What a pull request may change in a board, and every forbidden change by its name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_board, make_result, make_samples, plain, write_board, write_run
from unlearn_bench.boards import _changes, store
from unlearn_bench.boards.board import Board, Entry
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.results import result_digest

pytestmark = pytest.mark.slow


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = write_board(tmp_path / "demo.json", make_board())
    for name, kfr in (("theirs", 80), ("mine", 70)):
        run = write_run(tmp_path / name, name, kfr=kfr)
        run.with_name("samples.jsonl").unlink()
        claim = Claim(name, submitter=name, notes="as it is", paper="https://example.org/a", because="old")
        submit(run, path, claim)
    return path


def _result(board: Path, name: str, kfr: int) -> Path:
    run = write_run(board.parent / f"{name}-{kfr}", f"{name}-{kfr}", kfr=kfr)
    run.with_name("samples.jsonl").unlink()
    return run


def _found(old: Path, edit: Callable[[dict], None], submitter: str | None = "mine") -> list[str]:
    document = plain(old)
    edit(document)
    new = Board.model_validate(json.loads(json.dumps(document)))
    return [f"{p.code}: {p.message}" for p in _changes.problems(store.read_board(old), new, submitter)]


def _entry(document: dict, name: str) -> dict:
    return next(entry for entry in document["entries"] if entry["name"] == name)


HEAD: list[tuple[str, Callable[[dict], object]]] = [
    ("rules", lambda d: d["rules"].update(verified=True)),
    ("rules", lambda d: d["rules"].update(collapsed_below=0.0)),
    ("rules", lambda d: d["rules"].update(sort="name")),
    ("rules", lambda d: d["rules"].update(scoring={"kfr_rule": "released"})),
    ("anchors", lambda d: d["anchors"].update(original="theirs", oracle="mine")),
    ("metrics", lambda d: d["metrics"].pop()),
    ("metrics", lambda d: d["metrics"][0].update(axis="retention")),
    ("metrics", lambda d: d["metrics"][0].update(label="Best")),
    ("metrics", lambda d: d["metrics"][0].update(bounds=[0.0, 2.0])),
    ("metrics", lambda d: d["metrics"][0].update(required=False)),
    ("title", lambda d: d.update(title="Mine")),
    ("description", lambda d: d.update(description="Mine")),
    ("benchmark", lambda d: d.update(benchmark="mine")),
    ("tasks", lambda d: d["tasks"].update(extra={"split": "forget"})),
    ("pin_moved", lambda d: d["tasks"]["demo_kfr"].update(n=99)),
    ("pin_moved", lambda d: d["tasks"]["demo_kfr"].update(generation=None)),
    ("datasets", lambda d: d.update(datasets={"a" * 64: {"name": "x", "split": "y", "rows": {}}})),
]


@pytest.mark.parametrize(("code", "edit"), HEAD, ids=[f"{i}-{code}" for i, (code, _) in enumerate(HEAD)])
def test_what_is_the_maintainers_is_named(board: Path, code: str, edit: Callable[[dict], object]) -> None:
    assert [found.split(":")[0] for found in _found(board, edit)][:1] == [code]


ENTRY: list[tuple[str, Callable[[dict], object]]] = [
    ("notes", lambda e: e.update(notes="worthless")),
    ("paper", lambda e: e.update(paper="https://example.org/b")),
    ("code", lambda e: e.update(code="https://example.org/c")),
    ("submitter", lambda e: e.update(submitter="mine")),
    ("training", lambda e: e.update(training={"method": "ga"})),
    ("submitted", lambda e: e.update(submitted="2020-01-01T00:00:00Z")),
    ("relationship", lambda e: e.update(relationship="third_party")),
    ("result", lambda e: e["result"]["model"].update(name="other")),
    ("result_sha256", lambda e: e.update(result_sha256="b" * 64)),
]


@pytest.mark.parametrize(("field", "edit"), ENTRY, ids=[field for field, _ in ENTRY])
def test_nothing_of_anothers_entry_may_change(board: Path, field: str, edit: Callable[[dict], object]) -> None:
    found = _found(board, lambda d: edit(_entry(d, "theirs")))
    assert any(text.startswith("not_yours: 'theirs'") and field in text for text in found)


def test_ones_own_texts_may_change_and_nothing_else_without_a_result(board: Path) -> None:
    assert _found(board, lambda d: _entry(d, "mine").update(notes="clearer")) == []
    assert _found(board, lambda d: _entry(d, "mine").update(notes="clearer"), submitter=None)
    for edit in ({"submitted": "2020-01-01T00:00:00Z"}, {"training": {"method": "ga"}}):
        (found,) = _found(board, lambda d, edit=edit: _entry(d, "mine").update(edit))
        assert found.startswith("rewritten")


def test_adding_and_replacing_ones_own_is_allowed(board: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_bytes(board.read_bytes())
    submit(_result(board, "new", 60), board, Claim("new", submitter="mine"))
    submit(_result(board, "mine", 75), board, Claim("mine", submitter="mine", because="longer"), replace=True)
    assert list(_changes.problems(store.read_board(old), store.read_board(board), "mine")) == []
    found = {p.code for p in _changes.problems(store.read_board(old), store.read_board(board), "theirs")}
    assert found == {"not_yours"}
    found = list(_changes.problems(store.read_board(old), store.read_board(board)))
    assert [p.code for p in found] == ["not_yours"]  # the new entry is nobody's loss


HISTORY: list[tuple[str, Callable[[dict], object]]] = [
    ("values", lambda e: e["history"][-1]["values"].update({"demo_kfr/kfr": 0.1})),
    ("dropped", lambda e: e.pop("history")),
    ("weights", lambda e: e["history"][-1].update(weights_sha256=None)),
    ("date", lambda e: e["history"][-1].update(submitted="2020-01-01T00:00:00Z")),
    ("twice", lambda e: e["history"].append(e["history"][-1])),
]


@pytest.mark.parametrize(("what", "edit"), HISTORY, ids=[what for what, _ in HISTORY])
def test_history_grows_by_what_the_entry_said(
    board: Path, tmp_path: Path, what: str, edit: Callable[[dict], object]
) -> None:
    old = store.read_board(board)
    submit(_result(board, "mine", 75), board, Claim("mine", submitter="mine"), replace=True)
    document = plain(board)
    edit(_entry(document, "mine"))
    new = Board.model_validate(json.loads(json.dumps(document)))
    assert [p.code for p in _changes.problems(old, new, "mine")] == ["history"]


def test_removing_and_inventing_are_named(board: Path) -> None:
    assert [f.split(":")[0] for f in _found(board, lambda d: d["entries"].pop())] == ["removed"]
    result = make_result("late", make_samples(kfr=50))
    past = {"submitted": "2026-01-01T00:00:00Z", "replaced": "2026-01-02T00:00:00Z", "result_sha256": "c" * 64}
    entry = Entry(
        name="late",
        submitted="2026-01-03T00:00:00Z",
        submitter="mine",
        result_sha256=result_digest(result),
        result=result,
    ).model_dump(mode="json")
    (found,) = _found(board, lambda d: d["entries"].append({**entry, "history": [{**past, "values": {}}]}))
    assert found.startswith("history: 'late' is new")
