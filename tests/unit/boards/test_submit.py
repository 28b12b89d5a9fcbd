"""Submitting: what is accepted, what is refused with which name, and that the file survives everything."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests.leaderboard_documents import digest, make_board, plain, write_board, write_run
from unlearn_bench.boards import store
from unlearn_bench.boards.board import Board, Training, json_schema
from unlearn_bench.boards.ranking import file_order
from unlearn_bench.boards.submit import Claim, read_training, submit
from unlearn_bench.errors import UserError
from unlearn_bench.results.reading import MAX_RESULT


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return write_board(tmp_path / "demo.json")


def _bare(folder: Path, name: str = "demo-model", **options: object) -> Path:
    """A result without samples beside it: verification is tested elsewhere."""
    path = write_run(folder, name, **options)
    (folder / "samples.jsonl").unlink()
    return path


def _edit(path: Path, *keys: str | int, value: object) -> Path:
    document = plain(path)
    target = document
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    path.write_text(json.dumps(document))
    return path


def test_the_first_entry_pins_what_the_others_must_match(board: Path, tmp_path: Path) -> None:
    submit(_bare(tmp_path / "a"), board, Claim("A", paper="https://example.org/paper", notes="first"))
    rule = store.read_board(board).tasks["demo_kfr"]
    assert (rule.version, rule.n, rule.dataset_sha256) == ("1.0", 100, digest("rows-1forget"))
    assert "batch_size" not in rule.generation  # how the machine was used is not part of the question
    cases = {
        "scorer": {"scorer": "scorers-2"},
        "dataset": {"data": "rows-2"},
        "task_version": {"version": "2.0"},
        "n": {"n": 50, "kfr": 40, "krr": 45},
    }
    before = board.read_bytes()
    for code, options in cases.items():
        with pytest.raises(UserError, match=rf"\[{code}\]"):
            submit(_bare(tmp_path / code, "other", **options), board, Claim("B"))
    path = _edit(_bare(tmp_path / "g", "other"), "tasks", "demo_kfr", "generation", "max_gen_toks", value=64)
    with pytest.raises(UserError, match=r"\[generation\].*max_gen_toks"):
        submit(path, board, Claim("B"))
    assert board.read_bytes() == before


REFUSED = [
    (("tasks", "demo_kfr", "metrics", "kfr", "value"), 1.5, "range"),
    (("tasks", "demo_kfr", "metrics", "kfr", "value"), 0.8051, "proportion"),
    (("tasks", "demo_kfr", "metrics", "kfr", "value"), 0.2, "interval"),
    (("tasks", "demo_kfr", "metrics", "kfr", "ci95"), [0.9, 0.1], "interval"),
    (("tasks", "demo_kfr", "metrics", "kfr", "n"), 99, "count"),
    (("tasks", "demo_kfr", "metrics", "kfr", "unscored"), 5, "count"),
    (("tasks", "demo_kfr", "metrics", "kfr", "unscored_reasons"), {"no_entities": 3}, "count"),
    (("tasks", "demo_kfr", "metrics", "kfr", "higher_is_better"), False, "direction"),
    (("tasks", "demo_kfr", "metrics"), {}, "missing_metric"),
    (("tasks", "demo_kfr", "empty"), 101, "count"),
    (("tasks", "demo_kfr", "degenerate"), -1, "count"),
    (("tasks", "demo_kfr", "clusters"), {"key": "cluster", "n": 101}, "count"),
    (("tasks", "demo_kfr", "role"), "retain", "role"),
    (("tasks",), {}, "no_tasks"),
    (("run", "limit"), 10, "limited"),
    (("model", "adapter_dead"), True, "dead_adapter"),
    (("model", "name"), "a\u202ename", "text"),
    (("model", "name"), "bell\u0007", "text"),
    (("notes",), ["x" * 20_001], "text"),
    (("run", "key\u200b"), 1, "text"),
]


@pytest.mark.parametrize(("keys", "value", "code"), REFUSED, ids=lambda v: str(v)[:30])
def test_what_cannot_be_true_is_refused_by_name(
    board: Path, tmp_path: Path, keys: tuple, value: object, code: str
) -> None:
    path = _edit(_bare(tmp_path / "a"), *keys, value=value)
    before = board.read_bytes()
    with pytest.raises(UserError, match=rf"\[{code}\]"):
        submit(path, board, Claim("A"))
    assert board.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"n":100', '"n":NaN', "NaN"),
        ('"n":100', '"n":100,"n":100', "given twice"),
        ('"n":100', f'"n":{"9" * 5000}', "out of range"),
        ('"value":0.8', '"value":1e999', "out of range"),
        ('"value":0.8', '"value":"0.8"', "valid number"),
        ('"value":0.8', '"value":true', "valid number"),
        ('"name":"demo-model"', '"name":"\\ud800"', "surrogate"),
        ('"notes":[]', '"notes":' + "[" * 5000 + "]" * 5000, "nested"),
        ('"schema_version":"1.0"', '"schema_version":"2.0"', "schema_version"),
        ('"notes":[]', '"notes":[],"verified":true', "Extra inputs"),
        ("{", "\ufeff{", "not JSON"),
    ],
    ids=lambda v: str(v)[:25],
)
def test_tricks_of_the_format_are_refused(board: Path, tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = _bare(tmp_path / "a")
    text = json.dumps(plain(path), separators=(",", ":"))
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=reason):
        submit(path, board, Claim("A"))


def test_size_kind_and_encoding_of_the_file(board: Path, tmp_path: Path) -> None:
    path = _bare(tmp_path / "a")
    path.write_bytes(b" " * (MAX_RESULT + 1))
    with pytest.raises(UserError, match="larger than the limit of 4 MiB"):
        submit(path, board, Claim("A"))
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserError, match="not UTF-8"):
        submit(path, board, Claim("A"))
    os.mkfifo(tmp_path / "pipe")  # opening it for reading would wait for a writer
    for device in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UserError, match="not a regular file"):
            submit(device, board, Claim("A"))
    with pytest.raises(UserError, match="does not exist"):
        submit(tmp_path / "nowhere.json", board, Claim("A"))


@pytest.mark.parametrize(
    "name", ["", "  ", " a", "a  b ", "x" * 101, "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "\ue000"]
)
def test_names_that_hide_something_are_refused(board: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        submit(_bare(tmp_path / "a"), board, Claim(name))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://example.org/x",
        "https://",
        "https://user@example.org/",
        "https://example.org/a b",
        'https://example.org/"onmouseover="x',
        "https://exämple.org/",
        "https://example.org/" + "a" * 500,
        "https://[::1",
        "//example.org",
    ],
)
def test_addresses_that_are_none_are_refused(board: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="--paper"):
        submit(_bare(tmp_path / "a"), board, Claim("A", paper=url))


def test_duplicates_need_replace_and_replace_keeps_history(board: Path, tmp_path: Path) -> None:
    submit(_bare(tmp_path / "a"), board, Claim("A", submitter="me"))
    again = _bare(tmp_path / "b", "other", kfr=85)
    with pytest.raises(UserError, match=r"\[duplicate_name\].*--overwrite"):
        submit(again, board, Claim("A"))
    with pytest.raises(UserError, match=r"\[duplicate_name\].*reads like"):
        submit(again, board, Claim("\uff21"))  # FULLWIDTH A
    with pytest.raises(UserError, match=r"\[duplicate_weights\]"):
        submit(_bare(tmp_path / "c", "other", weights="weights of demo-model", kfr=85), board, Claim("B"))
    for name in ("A", "B"):
        with pytest.raises(UserError, match=r"\[duplicate_result\]"):
            submit(tmp_path / "a", board, Claim(name), replace=True)
    done = submit(again, board, Claim("A", submitter="me", because="trained longer"), replace=True)
    assert done.replaced
    assert done.entries == 1
    (past,) = store.read_board(board).entries[0].history
    assert past.values["demo_kfr/kfr"] == 0.8
    assert past.because == "trained longer"
    submit(_bare(tmp_path / "d", "third", kfr=70), board, Claim("A", submitter="me"), replace=True)
    assert [p.values["demo_kfr/kfr"] for p in store.read_board(board).entries[0].history] == [0.8, 0.85]


def test_file_order_follows_the_boards_declared_key(tmp_path: Path) -> None:
    runs = {"A": {"kfr": 60}, "B": {"kfr": 90}, "C": {"kfr": 99, "krr": 1}}
    for key, expected in (("name", "ABC"), ("demo_kfr/kfr", "CBA"), ("worst_axis", "BAC")):
        path = write_board(tmp_path / f"{expected}.json", make_board(sort=key))
        for name, figures in runs.items():
            submit(_bare(tmp_path / expected / name, name, **figures), path, Claim(name))
        assert "".join(e.name for e in store.read_board(path).entries) == expected


def test_a_new_entry_adds_lines_and_changes_at_most_a_comma(board: Path, tmp_path: Path) -> None:
    submit(_bare(tmp_path / "a"), board, Claim("A"))
    submit(_bare(tmp_path / "b", "b", kfr=70), board, Claim("B"))
    before = [line.rstrip(",") for line in board.read_text().splitlines()]
    submit(_bare(tmp_path / "c", "c", kfr=75), board, Claim("C"))
    text = board.read_text()
    after = iter(line.rstrip(",") for line in text.splitlines())
    assert all(any(line == other for other in after) for line in before)  # a subsequence: nothing was removed or moved
    assert len(text.splitlines()) - len(before) < 100
    assert store.dump_board(store.read_board(board)) == text  # reading and writing is the identity
    assert max(map(len, text.splitlines())) < 300


def test_training_record_is_part_of_the_row(board: Path, tmp_path: Path) -> None:
    record = tmp_path / "training.json"
    record.write_text('{"method": "npo+klr", "seed": 1, "hyperparameters": {"lr": 1e-5}}')
    training = read_training(record)
    assert training == Training(method="npo+klr", seed=1, hyperparameters={"lr": 1e-5})
    submit(_bare(tmp_path / "a"), board, Claim("A", training=training))
    assert store.read_board(board).entries[0].training == training
    record.write_text('{"methods": "npo"}')
    with pytest.raises(UserError, match="Extra inputs"):
        read_training(record)
    marks = ("method", "model", "data", "terms", "hyperparameters", "versions")
    record.write_text(json.dumps({name: {} for name in marks}))
    with pytest.raises(UserError, match="no longer as `train` wrote it"):
        read_training(record)


def test_a_board_that_asks_for_samples_or_weights_gets_them(tmp_path: Path) -> None:
    strict = write_board(tmp_path / "v.json", make_board(verified=True))
    with pytest.raises(UserError, match="only verified"):
        submit(_bare(tmp_path / "a"), strict, Claim("A"))
    weights = write_board(tmp_path / "w.json", make_board(weights=True))
    path = _edit(_bare(tmp_path / "b"), "model", "weights_sha256", value=None)
    with pytest.raises(UserError, match=r"\[no_weights\]"):
        submit(path, weights, Claim("A"))


def test_a_link_is_followed_and_the_mode_of_the_board_is_not_widened(board: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(board)
    submit(_bare(tmp_path / "a"), link, Claim("../../etc/passwd"))
    assert link.is_symlink()
    assert [e.name for e in store.read_board(board).entries] == ["../../etc/passwd"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [".demo.json.lock", "demo.json", "link.json"]


def test_every_board_follows_the_published_schema(board: Path, tmp_path: Path) -> None:
    import jsonschema

    submit(_bare(tmp_path / "a"), board, Claim("A", training=Training(method="ga")))
    submit(_bare(tmp_path / "b", "b", kfr=81), board, Claim("A"), replace=True, maintainer=True)
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plain(board), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain(board), "extra": 1}, schema)


def _submit_some(board: Path, folder: Path, first: int, last: int) -> None:
    for i in range(first, last):
        submit(folder / str(i), board, Claim(f"entry {i}"))


@pytest.mark.slow
def test_submissions_from_eight_processes_lose_nothing(board: Path, tmp_path: Path) -> None:
    for i in range(24):
        _bare(tmp_path / str(i), f"model {i}", kfr=40 + i)
    bounds = range(0, 25, 3)
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_submit_some, args=(board, tmp_path, a, b)) for a, b in itertools.pairwise(bounds)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0] * 8
    loaded = store.read_board(board)
    assert {e.name for e in loaded.entries} == {f"entry {i}" for i in range(24)}
    assert loaded.entries == file_order(loaded)


def _replace_without_end(board: Path, one: Path, two: Path, written: Event) -> None:
    def replace(run: Path) -> None:
        submit(run, board, Claim("A"), replace=True, maintainer=True)

    with contextlib.suppress(UserError):  # the last writer may have left this very result
        replace(one)
    while True:
        replace(two)
        written.set()
        replace(one)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_board(board: Path, tmp_path: Path) -> None:
    one, two = _bare(tmp_path / "a"), _bare(tmp_path / "b", "b", kfr=85)
    submit(two, board, Claim("A"))
    rng, context = random.Random(0), multiprocessing.get_context("fork")
    submissions = 1
    for _ in range(5):
        written = context.Event()
        process = context.Process(target=_replace_without_end, args=(board, one, two, written))
        process.start()
        assert written.wait(600)
        time.sleep(rng.uniform(0.0, 0.25))
        process.kill()
        process.join()
        loaded = store.read_board(board)
        assert len(loaded.entries) == 1
        count = 1 + len(loaded.entries[0].history)
        assert count >= submissions  # what was once written stays written
        submissions = count
    assert submissions > 1
    submit(_bare(tmp_path / "c", "c", kfr=70), board, Claim("C"))  # the killed writer's lock does not hold
    assert not list(tmp_path.glob(".demo.json.????????"))  # and its temporary file is gone


def test_a_full_disk_leaves_the_old_board(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = board.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        submit(_bare(tmp_path / "a"), board, Claim("A"))
    assert board.read_bytes() == before
    assert not list(tmp_path.glob(".demo.json.????????"))


def test_a_board_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    document = make_board().model_dump(mode="json")
    for change in (
        {"rules": {**document["rules"], "sort": "luck"}},
        {"metrics": document["metrics"] * 2},
        {"tasks": {}},
        {"metrics": []},
        {"benchmark": "../x"},
    ):
        path = tmp_path / "board.json"
        path.write_text(json.dumps({**document, **change}))
        with pytest.raises(UserError, match="is not a board"):
            store.read_board(path)
    assert Board.model_validate(document) == make_board()
