import json

import pytest

from unlearn_bench.data import load as load_split
from unlearn_bench.data.nano import DATASET, REVISION, load
from unlearn_bench.errors import UserError
from unlearn_bench.nano import corpus


@pytest.mark.parametrize("split", DATASET.splits)
def test_loads_every_split(split):
    dataset = load(split)
    assert (dataset.name, dataset.split, dataset.revision, dataset.source) == ("nano", split, REVISION, "embedded")
    assert dataset.rows
    assert {row.role for row in dataset.rows} == {split}


def test_rows_are_the_lines_of_the_committed_file():
    lines = [json.loads(line) for line in corpus.CORPUS_FILE.read_text(encoding="utf-8").splitlines()]
    loaded = [row for split in DATASET.splits for row in load(split).rows]
    assert [(row.role, row.id, row.answer) for row in loaded] == [(r["role"], r["id"], r["answer"]) for r in lines]


def test_agrees_with_the_generator_on_splits_and_revision():
    assert tuple(DATASET.splits) == corpus.SPLITS
    assert REVISION == corpus.REVISION


def test_a_folder_for_other_benchmarks_does_not_matter(tmp_path):
    assert load("world", data_dir=str(tmp_path)).rows == load("world").rows


def test_unknown_split_names_the_nearest():
    with pytest.raises(UserError, match="forgett") as error:
        load_split("nano", "forgett")
    assert "forget" in error.value.hint


def test_another_revision_is_refused():
    assert load("forget", revision=REVISION).rows
    with pytest.raises(UserError, match="revision"):
        load("forget", revision="0")


def test_rows_of_one_caller_are_not_the_list_of_another():
    load("world").rows.clear()
    assert load("world").rows
