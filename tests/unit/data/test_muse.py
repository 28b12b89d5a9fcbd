"""MUSE's rows: prompts with ten examples and a trailing space, texts with nothing asked, either corpus."""

import json

import pytest

from unlearn_bench.data import DATASETS, load
from unlearn_bench.errors import UserError
from unlearn_bench.tasks_index import read_tasks
from unlearn_bench.trainers._rows import load_rows

QA = [{"question": f"Question {n}?", "answer": f"Answer {n}."} for n in range(10)]
FILES = {
    "knowmem/forget_qa": QA[:2],
    "knowmem/forget_qa_icl": QA,
    "knowmem/retain_qa": QA[2:3],
    "knowmem/retain_qa_icl": QA,
    "verbmem/forget": [{"prompt": "Ada went to", "gt": "the harbour."}],
    "privleak/forget": ["Ada keeps bees."],
    "privleak/retain": ["Bo sails."],
    "privleak/holdout": ["Cy paints."],
    "raw/forget": ["Ada keeps bees. Bees sleep."],
    "raw/retain1": ["Bo sails."],
    "raw/retain2": ["Bo sails."],
    "raw/holdout": ["Cy paints."],
}


@pytest.fixture
def folder(tmp_path):
    for corpus in ("news", "books"):
        for name, records in FILES.items():
            path = tmp_path / "muse" / corpus / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(records), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["muse_news", "muse_books"])
@pytest.mark.parametrize("split", DATASETS.get("muse_news").splits)
def test_every_split_of_either_corpus(folder, name, split):
    dataset = load(name, split, data_dir=str(folder))
    assert (dataset.name, {row.role for row in dataset.rows}) == (name, {DATASETS.get(name).splits[split]})


def test_both_corpora_declare_the_same():
    news, books = DATASETS.get("muse_news"), DATASETS.get("muse_books")
    assert (news.splits, news.defaults) == (books.splits, books.defaults)


def test_ten_examples_and_a_trailing_space(folder):
    first, second = load("muse_news", "knowmem_forget", data_dir=str(folder)).rows
    assert first.question.startswith("Question: Question 0?\nAnswer: Answer 0.\n\nQuestion: Question 1?")
    assert first.question.count("Question: ") == 11
    assert second.question.endswith("Answer 9.\n\nQuestion: Question 1?\nAnswer: ")


def test_texts(folder):
    (verbatim,) = load("muse_news", "verbmem", data_dir=str(folder)).rows
    assert (verbatim.question, verbatim.answer) == ("Ada went to", "the harbour.")
    (text,) = load("muse_news", "privleak_holdout", data_dir=str(folder)).rows
    assert (text.question, text.answer) == ("", "Cy paints.")


def test_raw_texts_are_trained_on_as_written(folder):
    (pair,) = load_rows(["muse_news:raw_forget"], data_dir=str(folder))
    assert (pair.raw, pair.question, pair.answer) == (True, "", "Ada keeps bees. Bees sleep.")


def test_nine_examples_are_refused(folder):
    (folder / "muse" / "news" / "knowmem" / "forget_qa_icl.json").write_text(json.dumps(QA[:9]))
    with pytest.raises(UserError, match="muse news forget_qa_icl: 9 examples, expected 10"):
        load("muse_news", "knowmem_forget", data_dir=str(folder))
    with pytest.raises(UserError, match="muse-bench/MUSE-Books: no revision is pinned"):
        load("muse_books", "verbmem")


def test_rows_of_the_hub_are_read(monkeypatch):
    import datasets

    asked = []

    def fake(path, name, split, revision):
        asked.append((path, name, split, revision))
        return QA

    monkeypatch.setattr(datasets, "load_dataset", fake)
    dataset = load("muse_books", "knowmem_retain", revision="abc")
    assert asked == [("muse-bench/MUSE-Books", "knowmem", s, "abc") for s in ("retain_qa", "retain_qa_icl")]
    assert (len(dataset.rows), dataset.revision, dataset.source) == (10, "abc", "hub:muse-bench/MUSE-Books")


def test_answers_are_cut_where_muse_cuts_them():
    tasks = {config["task"]: config for config in read_tasks()}
    for task in ("muse_news_knowmem_forget", "muse_books_knowmem_retain"):
        asked = tasks[task]["generation_kwargs"]
        assert (asked["until"], asked["max_gen_toks"]) == (["\n\n", "\nQuestion", "Question:"], 32)
    assert tasks["muse_news_verbmem"]["generation_kwargs"]["max_gen_toks"] == 128


@pytest.mark.parametrize("split", ["knowmem_forget", "knowmem_retain"])
def test_published_counts(shared_data, split):
    assert len(load("muse_news", split, data_dir=str(shared_data)).rows) == 100
