"""lm-eval's sample logs and our own."""

import json
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.errors import UserError
from unlearn_bench.harness.score import ScoreSpec, score
from unlearn_bench.schema import Sample

# as lm-eval 0.4.13 writes it for a stock generation task
STOCK = {
    "doc_id": 0,
    "doc": {"question": "who is Ada ?", "answers": ["Ada Lima", "Ada"]},
    "target": "['Ada Lima', 'Ada']",
    "arguments": {"gen_args_0": {"arg_0": "Q: who is Ada ?\nA:", "arg_1": {"until": [], "max_gen_toks": 12}}},
    "resps": [[" Ada Lima.\nQ: next"]],
    "filtered_resps": [" Ada Lima."],
    "filter": "first",
    "metrics": ["exact_match"],
    "doc_hash": "26dd",
    "exact_match": 0.0,
}
OURS = {
    **STOCK,
    "doc": {"id": "forget-3", "split": "forget", "cluster": "ada", "question": "Who?", "answer": "Ada Lima"},
    "target": "Ada Lima",
}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_a_stock_task_needs_a_split_and_gives_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "samples_toy_qa_2026-11-23T08-36-56.173488.jsonl", [STOCK])
    with pytest.raises(UserError, match="--role"):
        formats.read(path)
    (found,) = formats.read(path, role="retain").responses
    assert (found.id, found.task, found.role, found.question) == ("0", "toy_qa", "retain", "who is Ada ?")
    assert (found.reference, found.response, found.cluster) == ("Ada Lima", " Ada Lima.\nQ: next", None)


def test_our_tasks_say_everything(tmp_path: Path) -> None:
    (found,) = formats.read(write(tmp_path / "samples_tofu_kfr_2026-11-23T08-36-56.1.jsonl", [OURS])).responses
    assert (found.id, found.task, found.role, found.cluster) == ("forget-3", "tofu_kfr", "forget", "ada")
    assert found.reference == "Ada Lima"


def test_one_row_for_each_filter_is_one_answer_and_rows_are_sorted(tmp_path: Path) -> None:
    rows = [{**STOCK, "doc_id": k, "filter": f} for f in ("first", "digits") for k in (2, 10, 1)]
    found = formats.read(write(tmp_path / "log.jsonl", rows), role="forget").responses
    assert [r.id for r in found] == ["1", "2", "10"]
    assert {r.task for r in found} == {"log_forget"}


def test_several_answers_are_noted(tmp_path: Path) -> None:
    found = formats.read(write(tmp_path / "log.jsonl", [{**STOCK, "resps": [["one", "two"]]}]), role="forget")
    assert found.responses[0].response == "one"
    assert "1 questions were answered several times" in found.notes[0]


def test_a_prompt_stands_in_for_a_missing_question(tmp_path: Path) -> None:
    row = {**STOCK, "doc": {"text": "x"}}
    assert formats.read(write(tmp_path / "a", [row]), role="forget").responses[0].question == "Q: who is Ada ?\nA:"


@pytest.mark.parametrize("resps", [[[["-4.2", "False"]], [["-4.3", "False"]]], [["-4.2", "False"]]])
def test_log_likelihoods_of_single_texts_are_no_answers(tmp_path: Path, resps: list) -> None:
    with pytest.raises(UserError) as raised:
        formats.read(write(tmp_path / "a", [{**STOCK, "resps": resps}]), role="forget")
    assert "log-likelihoods" in str(raised.value)


def single(prompt: str | None, text: str, value: str, **changes: object) -> dict[str, object]:
    """A row of a `loglikelihood` task, or of a rolling one where there is no prompt."""
    texts = (text,) if prompt is None else (prompt, text)
    resps = [[value]] if prompt is None else [[[value, "False"]]]
    return {
        "doc_id": 0,
        "doc": {"text": "x"},
        "target": text,
        "arguments": {"gen_args_0": {f"arg_{i}": one for i, one in enumerate(texts)}},
        "resps": resps,
        **changes,
    }


def test_log_likelihoods_of_single_texts_with_the_number_of_their_tokens(tmp_path: Path) -> None:
    rows = [single("Who wrote it?", " Ada Lima", "-4.5"), single(None, "Ada wrote it", "-9", doc_id=1)]
    path = write(tmp_path / "samples_said_2026-11-23T08-36-56.1.jsonl", rows)
    answer, text = formats.read(path, role="forget", count=lambda prompt, text: len(text.split())).responses
    assert (answer.task, answer.question, answer.reference, answer.missing) == (
        "said", "Who wrote it?", "Ada Lima", "not_asked",
    )  # fmt: skip
    assert answer.likelihoods["answer"].model_dump() == {"mean_logprob": -2.25, "tokens": 2, "ending": 0}
    assert (text.question, text.reference, text.likelihoods["answer"].mean_logprob) == ("", "Ada wrote it", -3.0)


def test_a_rolling_log_likelihood_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        formats.read(write(tmp_path / "a", [single(None, "Ada wrote it", "-9.5")]), role="forget")
    assert raised.value.hint.startswith("log-likelihoods of single texts need --tokenizer FOLDER")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (single("Who?", " Ada", "nan"), "no finite log-likelihood"),
        (single("Who?", " Ada", "-inf"), "no finite log-likelihood"),
        (single("Who?", "", "-1.5"), "'' has no tokens after its prompt"),
        ({**single("Who?", "x", "-1"), "arguments": {"gen_args_0": {"arg_0": "Who?", "arg_1": {}}}}, "no generated"),
    ],
)
def test_single_texts_that_say_nothing_are_named(tmp_path: Path, row: dict[str, object], what: str) -> None:
    rows = [single("Who?", " Ada", "-1.5"), {**row, "doc_id": 1}]
    found = formats.read(write(tmp_path / "a", rows), role="forget", count=lambda _, text: len(text.split()))
    assert len(found.responses) == 1
    assert what in found.errors[0]


@pytest.mark.parametrize("target", ["1", "Bo"])
def test_options_of_a_multiple_choice_task(tmp_path: Path, target: str) -> None:
    requests = {f"gen_args_{i}": {"arg_0": "Who?", "arg_1": text} for i, text in enumerate((" Al", " Bo"))}
    row = {**STOCK, "resps": [[["-4.5", "False"]], [["-1.25", "True"]]], "arguments": requests, "target": target}
    path = write(tmp_path / "samples_mc_2026-01-01T00-00-00.0.jsonl", [row])
    (found,) = formats.read(path, role="world").responses
    assert (found.choices, found.gold, found.missing, found.task) == ([" Al", " Bo"], 1, "not_asked", "mc")
    assert [found.likelihoods[f"choices.{i}"].mean_logprob for i in range(2)] == [-4.5, -1.25]
    outcome = score(ScoreSpec((path,), role="world"))
    assert outcome.result.tasks["mc"].metrics["choice_accuracy"].value == 1.0
    nan = {**row, "resps": [[["nan", "False"]], [["-1.25", "True"]]]}
    with pytest.raises(UserError, match="no finite log-likelihoods"):
        formats.read(write(path, [nan]), role="world")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"doc": 3}, "'doc_id' must be"),
        ({"resps": [[]]}, "no generated text"),
        ({"doc": {}, "arguments": []}, "no question"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    path = write(tmp_path / "a", [STOCK, {**STOCK, "doc_id": 1, **changes}])
    found = formats.read(path, role="forget")
    assert len(found.responses) == 1
    assert found.errors[0].startswith(f"{path}:2: {what}")


def sample(**changes: object) -> dict[str, object]:
    base = {"id": "1", "task": "tofu_kfr", "split": "forget", "question": "Q", "reference": "R", "response": "A"}
    return Sample(**{**base, "scores": {"kfr": 1.0}, **changes}).model_dump(mode="json")


def test_own_samples_are_taken_whole_and_without_their_scores(tmp_path: Path) -> None:
    rows = [sample(raw_response="A\nQ: more", cluster="c"), sample(id="2", task="tofu_krr", split="retain")]
    found = formats.read(write(tmp_path / "samples.jsonl", rows))
    assert [(r.task, r.response, r.raw_response, r.cluster) for r in found.responses] == [
        ("tofu_kfr", "A\nQ: more", None, "c"),
        ("tofu_krr", "A", None, None),
    ]
    assert found.responses[0].given is None
    assert len(formats.read(tmp_path / "samples.jsonl", role="retain").responses) == 1


def test_own_samples_that_are_broken_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "samples.jsonl", [sample(), sample(), {**sample(id="3"), "extra": 1}])
    found = formats.read(path)
    assert [error.partition(": ")[2] for error in found.errors] == [
        "id '1' is taken by a row of task tofu_kfr before",
        "not a sample: extra: Extra inputs are not permitted",
    ]
