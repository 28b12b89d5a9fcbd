"""LUME's rows: forms and sub-tasks by id, and the published counts."""

import gzip
import json
from collections import Counter

import pytest

from unlearn_bench.data import load
from unlearn_bench.errors import UserError

RECORDS = [
    {"id": '"ab-1"sc1', "input": "Ada went to", "output": "the harbour.", "task": "Task1"},
    {"id": '"ab-1"qa0', "input": "Where did Ada go?", "output": "harbour", "task": "Task1"},
    {"id": "cd-2qa3", "input": "What is Bo's e-mail?", "output": "bo@sea.example", "task": "Task2"},
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lume").mkdir()
    lines = "\n".join(json.dumps(record) for record in RECORDS)
    (tmp_path / "lume" / "forget.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "lume" / "retain.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "lume" / "member.jsonl").write_text('{"id": "m1", "document": "Ada keeps bees."}')
    return tmp_path


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("forget", ["forget-Task1-ab-1-sc1", "forget-Task1-ab-1-qa0", "forget-Task2-cd-2-qa3"]),
        ("forget_completion", ["forget-Task1-ab-1-sc1"]),
        ("forget_qa", ["forget-Task1-ab-1-qa0", "forget-Task2-cd-2-qa3"]),
        ("retain_qa", ["retain-Task1-ab-1-qa0", "retain-Task2-cd-2-qa3"]),
    ],
)
def test_forms(folder, split, ids):
    rows = load("lume", split, data_dir=str(folder)).rows
    assert [row.id for row in rows] == ids
    assert {row.role for row in rows} == {split.split("_")[0]}
    assert [row.kind for row in rows] == [
        f"{row.id.split('-')[1]} {'completion' if 'sc' in row.id else 'qa'}" for row in rows
    ]
    assert rows[-1].cluster == ("cd-2" if len(ids) > 1 else "ab-1")


def test_documents_of_the_membership_attack(folder):
    (row,) = load("lume", "mia_member", data_dir=str(folder)).rows
    assert (row.role, row.question, row.answer) == ("forget", "", "Ada keeps bees.")
    with pytest.raises(UserError, match=r"no nonmember\.json in it"):
        load("lume", "mia_nonmember", data_dir=str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "ab"}, r"forget\.jsonl:1: 'id' must end with sc or qa"),
        ({"task": "Task4"}, "'task' must be one of Task1, Task2, Task3, got 'Task4'"),
        ({"output": " "}, "'output' must be a non-empty text"),
    ],
)
def test_a_malformed_row_is_named(folder, change, message):
    (folder / "lume" / "forget.jsonl").write_text(json.dumps({**RECORDS[0], **change}))
    with pytest.raises(UserError, match=message):
        load("lume", "forget", data_dir=str(folder))


def test_a_broken_archive_is_named(folder):
    (folder / "lume" / "retain.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(UserError, match=r"retain\.jsonl\.gz: cannot be read"):
        load("lume", "retain", data_dir=str(folder))


def test_without_a_folder_it_says_where_the_data_is(monkeypatch):
    monkeypatch.delenv("UNLEARN_BENCH_DATA", raising=False)
    with pytest.raises(UserError, match="lume is not at the hub") as error:
        load("lume", "forget")
    assert "clone github.com/amazon-science/lume-llm-unlearning" in error.value.hint


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("forget_completion", {"Task1": 243, "Task2": 250, "Task3": 373}),
        ("forget_qa", {"Task1": 243, "Task2": 1250, "Task3": 373}),
        ("retain_completion", {"Task1": 246, "Task2": 250, "Task3": 371}),
        ("retain_qa", {"Task1": 246, "Task2": 1250, "Task3": 371}),
    ],
)
def test_published_counts(shared_data, split, counts):
    rows = load("lume", split, data_dir=str(shared_data)).rows
    assert Counter(row.kind.split()[0] for row in rows) == counts
    assert {row.kind.split()[1] for row in rows} == {split.split("_")[1]}
