"""KnowUnDo's rows, from a folder and from the hub's shape."""

import pytest

from unlearn_bench.data import load
from unlearn_bench.errors import UserError


@pytest.mark.parametrize(
    ("split", "rows"), [("forget", 110), ("retain", 108), ("forget_train", 400), ("retain_train", 441)]
)
def test_published_counts(shared_data, split, rows):
    assert len(load("knowundo", split, data_dir=str(shared_data)).rows) == rows


def test_hub_rows_hold_the_lists_train_and_val(monkeypatch):
    import datasets

    def fake(path, name, split, revision):
        assert (path, name, split, revision) == ("zjunlp/KnowUnDo", "privacy", "unlearn", "abc")
        return [{"train": [{"text": "T?", "labels": "T."}], "val": [{"text": "V?", "labels": "V."}]}]

    monkeypatch.setattr(datasets, "load_dataset", fake)
    dataset = load("knowundo", "forget", revision="abc")
    assert [(r.question, r.answer) for r in dataset.rows] == [("V?", "V.")]
    assert dataset.revision == "abc"


def test_hub_without_a_revision_says_what_to_do():
    with pytest.raises(UserError, match="--data-revision COMMIT, or pass --data-dir"):
        load("knowundo", "forget")


def test_copyright_has_the_layout_of_privacy(tmp_path):
    folder = tmp_path / "knowundo" / "copyright"
    folder.mkdir(parents=True)
    (folder / "unlearn_val.json").write_text('[{"text": "Who sails in The Grey Tide?", "labels": "Ilse Brandt."}]')
    (row,) = load("knowundo", "copyright_forget", data_dir=str(tmp_path)).rows
    assert (row.id, row.role, row.answer) == ("copyright_forget-0", "forget", "Ilse Brandt.")
    with pytest.raises(UserError, match=r"copyright/retention_train\.json: no such file"):
        load("knowundo", "copyright_retain_train", data_dir=str(tmp_path))
