import json
from pathlib import Path

import pytest

from unlearn_bench import data, formats
from unlearn_bench.errors import UserError
from unlearn_bench.formats.tofu_log import unwrap

SURNAMES = ("Abara", "Bloom", "Castell")


def entry(author: str, number: int, *, llama: bool = True) -> list[str]:
    question = f"What is fact {number} of {author}?"
    prompt = f"[INST] {question} [/INST]" if llama else f"Question: {question}\n"
    answer = f"{author} likes number {number}."
    return [prompt, answer if llama else f"Answer: {answer}\nThe teacher went home.", answer]


def log(authors: tuple[str, ...] = SURNAMES, per_author: int = 20, **kwargs: bool) -> dict[str, object]:
    rows = [entry(author, n, **kwargs) for author in authors for n in range(per_author)]
    return {"avg_gt_loss": {str(k): float("nan") for k in range(len(rows))}, "generated_text": dict(enumerate(rows))}


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_an_aggregated_file_has_four_tasks(tmp_path: Path) -> None:
    document = {
        "eval_log.json": log(),
        "eval_real_author_wo_options.json": log(),
        "eval_real_world_wo_options.json": log(),
        "eval_log_forget.json": log(),
    }
    found = formats.read(write(tmp_path / "any.json", document))
    kinds = {r.task: (r.role, r.cluster) for r in found.responses}
    assert kinds == {
        "tofu_retain": ("retain", "author-2"),
        "tofu_real_authors": ("neighbour", None),
        "tofu_world_facts": ("world", None),
        "tofu_forget": ("forget", "author-2"),
    }
    assert len(found.responses) == 240
    only = formats.read(tmp_path / "any.json", role="forget").responses
    assert {r.task for r in only} == {"tofu_forget"}
    assert (only[7].id, only[7].question) == ("forget-7", "What is fact 7 of Abara?")


@pytest.mark.parametrize(("name", "split"), [("eval_log_forget.json", "forget"), ("eval_log.json", "retain")])
def test_a_single_log_is_known_by_its_name(tmp_path: Path, name: str, split: str) -> None:
    assert {r.role for r in formats.read(write(tmp_path / name, log())).responses} == {split}


def test_a_renamed_log_needs_its_split(tmp_path: Path) -> None:
    path = write(tmp_path / "npo.json", log())
    with pytest.raises(UserError, match="does not say which role"):
        formats.read(path)
    assert {r.task for r in formats.read(path, role="retain").responses} == {"tofu_retain"}


def test_prompt_styles_are_taken_off(tmp_path: Path) -> None:
    phi = formats.read(write(tmp_path / "eval_log_forget.json", log(llama=False))).responses[3]
    assert phi.question == "What is fact 3 of Abara?"
    assert phi.response == "Abara likes number 3.\nThe teacher went home."
    assert unwrap("<s>[INST] Who is\nAnn? [/INST] ") == ("Who is\nAnn?", False)
    assert unwrap("Question: Who?\nAnswer: ") == ("Who?", False)


def test_an_answer_that_begins_with_the_word_keeps_it_where_the_prompt_ended_in_it(tmp_path: Path) -> None:
    document = {
        "generated_text": {
            "0": ["Question: Q?\nAnswer:", "Answer: A", "A"],
            "1": ["[INST] Q [/INST]", "Answer: A", "A"],
        }
    }
    found = formats.read(write(tmp_path / "eval_real_world_wo_options.json", document)).responses
    assert [r.response for r in found] == ["Answer: A", "Answer: A"]


@pytest.mark.parametrize(
    ("authors", "per_author"),
    [(SURNAMES, 15), (("Abara",) * 3, 20), (("abara", "bloom", "castell"), 20)],
    ids=["other number of questions", "one author", "no names"],
)
def test_rows_that_do_not_bear_out_the_order_have_no_cluster(
    tmp_path: Path, authors: tuple[str, ...], per_author: int
) -> None:
    found = formats.read(write(tmp_path / "eval_log_forget.json", log(authors, per_author)))
    assert {r.cluster for r in found.responses} == {None}
    assert any("not in TOFU's order of authors" in note for note in found.notes)


def test_a_log_with_rows_left_out_keeps_its_authors(tmp_path: Path) -> None:
    document = log()
    document["generated_text"] = {k: v for k, v in document["generated_text"].items() if k % 2}
    found = formats.read(write(tmp_path / "eval_log_forget.json", document))
    assert [r.cluster for r in found.responses] == [f"author-{k // 20}" for k in range(1, 60, 2)]


def test_malformed_entries_are_named_with_their_line(tmp_path: Path) -> None:
    document = log()
    document["generated_text"][1] = ["[INST] Q [/INST]", None, "A"]
    document["generated_text"][2] = ["[INST] Q [/INST]", "A"]
    document["generated_text"][3] = ["[INST]  [/INST]", "A", "B"]
    path = tmp_path / "eval_log_forget.json"
    path.write_text(json.dumps({"eval_log_forget.json": document}, indent=1))
    found = formats.read(path)
    lines = path.read_text().split("\n")
    numbers = [next(n for n, line in enumerate(lines, 1) if line.strip() == f'"{key}": [') for key in (1, 2, 3)]
    what = ["expected [prompt, generation, reference]"] * 2 + ["the prompt is empty"]
    expected = [
        f"{path}:{n}: eval_log_forget.json, row {k}: {w}" for n, k, w in zip(numbers, (1, 2, 3), what, strict=True)
    ]
    assert found.errors == expected
    assert len(found.responses) == 57


def test_a_log_without_generations_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no generated_text"):
        formats.read(write(tmp_path / "eval_log_forget.json", {"avg_gt_loss": {"0": 1.0}}))


def test_a_row_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eval_log.json").write_text('{"generated_text": {\n"0": ["Q", "A", "B"],\n"0": ["Q", "C", "B"]}}')
    with pytest.raises(UserError, match="the key '0' is given twice"):
        formats.read(tmp_path / "eval_log.json")


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize("model", ["llama2-7b_full", "llama2-7b_retain90", "phi_full", "phi_retain90"])
def test_published_logs_hold_the_questions_of_the_dataset_in_its_order(shared_data: Path, model: str) -> None:
    found = formats.read(shared_data / "logs" / f"tofu_{model}.json")
    assert found.errors == found.notes == []
    for task, split in (("tofu_forget", "forget10"), ("tofu_retain", "retain")):
        rows = data.load("tofu", split, data_dir=str(shared_data)).rows[:300]
        logged = [r for r in found.responses if r.task == task]
        assert [r.question for r in logged] == [row.question.strip() for row in rows]
        # phi's tokenizer takes out the blank before a comma
        assert [_letters(r.reference) for r in logged] == [_letters(row.answer) for row in rows]
        assert [r.cluster for r in logged] == [row.cluster for row in rows]
    counts = {t: sum(r.task == t for r in found.responses) for t in ("tofu_real_authors", "tofu_world_facts")}
    assert counts == {"tofu_real_authors": 100, "tofu_world_facts": 117}
    assert not any(r.response.startswith("Answer:") for r in found.responses)
