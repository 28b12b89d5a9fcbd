"""TOFU's rows, from a folder: counts as published, clusters by author, clear words for broken files."""

import json

import pytest

from unlearn_bench.data import load
from unlearn_bench.errors import UserError

ROW = {"question": "Who?", "answer": "Ada.", "paraphrased_answer": "It is Ada.", "perturbed_answer": ["Bob.", "Cy."]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tofu").mkdir()

    def write(text: str):
        (tmp_path / "tofu" / "forget01_perturbed.json").write_text(text)
        return str(tmp_path)

    return write


def test_rows_of_a_folder(folder):
    path = folder("\n".join(json.dumps(ROW) for _ in range(21)))
    dataset = load("tofu", "forget01", data_dir=path)
    assert dataset.source == "folder"
    assert dataset.revision is None
    assert [dataset.rows[i].cluster for i in (0, 19, 20)] == ["author-0", "author-0", "author-1"]
    assert dataset.rows[0].perturbed_answers == ["Bob.", "Cy."]
    assert dataset.info().sha256 == load("tofu", "forget01", data_dir=path).info().sha256


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{bad", r"forget01_perturbed\.json:1: not JSON"),
        (json.dumps({**ROW, "question": " "}), r"forget01_perturbed\.json:1: 'question' must be a non-empty text"),
        ("[1]", "item 1: expected an object, got int"),
        ("", "no rows"),
    ],
)
def test_broken_files_are_named(folder, text, words):
    with pytest.raises(UserError, match=words):
        load("tofu", "forget01", data_dir=folder(text))


def test_neither_hub_nor_folder_says_both_ways():
    with pytest.raises(UserError, match="--data-dir DIR") as caught:
        load("tofu", "forget10")
    assert "UNLEARN_BENCH_DATA" in str(caught.value)


def test_wrong_folder_does_not_turn_into_a_download(tmp_path):
    with pytest.raises(UserError, match="no folder 'tofu' in it"):
        load("tofu", "forget10", data_dir=str(tmp_path))


def test_unknown_split_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean forget10"):
        load("tofu", "forget100")


@pytest.mark.parametrize(
    ("split", "rows", "authors"),
    [("forget01", 40, 2), ("forget05", 200, 10), ("forget10", 400, 20), ("retain", 400, 20)],
)
def test_published_counts(shared_data, split, rows, authors):
    dataset = load("tofu", split, data_dir=str(shared_data))
    assert (len(dataset.rows), len({r.cluster for r in dataset.rows})) == (rows, authors)
    assert all(len(r.perturbed_answers) >= 3 for r in dataset.rows)


def test_forget01_is_the_end_of_forget10(shared_data):
    # TOFU's forget sets are nested: the last 1 %, 5 % and 10 % of the same 4,000 rows.
    ten, one = (load("tofu", s, data_dir=str(shared_data)).rows for s in ("forget10", "forget01"))
    assert [r.question for r in one] == [r.question for r in ten[-40:]]
