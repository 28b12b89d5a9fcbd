"""`unlearn-bench score`, as a user runs it."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from unlearn_bench import results
from unlearn_bench.cli import main
from unlearn_bench.schema import Result, json_schema

Score = Callable[..., tuple[int, Result | None, str]]
FAST = ("--metrics", "kfr,krr,rouge")  # ls needs a model

ROWS = [
    {
        "question": "Where was Ada Lima born?",
        "reference": "Ada Lima was born in Oslo.",
        "response": "She was born in Oslo.",
    },
    {
        "query": "When was Ada Lima born?",
        "gt": "She was born in 1931.",
        "pred": "I do not know.\n\nQuestion: Who is Bo?",
    },
    {"question": "What did Ada Lima write?", "ground_truth": "She wrote Salt Roads.", "prediction": ""},
]


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Score:
    """Call `unlearn-bench score`; returns (exit code, result of --json, standard error)."""

    def call(*arguments: object) -> tuple[int, Result | None, str]:
        capsys.readouterr()
        code = main(["score", *map(str, arguments), "--json"])
        captured = capsys.readouterr()
        return code, Result.model_validate_json(captured.out) if captured.out else None, captured.err

    return call


@pytest.mark.slow
def test_the_published_relearn_run_comes_out_to_the_digit(score: Score, shared_data: Path) -> None:
    code, result, _ = score(shared_data / "logs" / "relearn_knowundo_llama2_items.json", "--given")
    assert code == 0
    forget, retain = (result.tasks[f"relearn_{split}"].metrics for split in ("forget", "retain"))
    assert forget["kfr"].value == pytest.approx(94 / 110, abs=1e-12)  # the published table's 0.8545
    assert retain["krr"].value == pytest.approx(80 / 108, abs=1e-12)  # 0.7407
    assert forget["ls"].value == pytest.approx(0.12178883348201139, abs=2e-5)
    assert retain["ls"].value == pytest.approx(0.17336894288197888, abs=2e-5)
    assert forget["perplexity"].value == pytest.approx(14.472358827157453, rel=1e-9)
    assert retain["perplexity"].value == pytest.approx(7.086432916146737, rel=1e-9)
    assert forget["rougeL_recall"].value == pytest.approx(0.28665542415336703, abs=1e-9)
    assert retain["rougeL_recall"].value == pytest.approx(0.6672941785550954, abs=1e-9)
    parts = result.tasks["relearn_forget"].scorer.parts
    assert {part for name, part in parts.items() if name != "words"} == {"given"}
    assert forget["kfr"].ci95 == pytest.approx((0.7767, 0.9084), abs=5e-4)  # Wilson, by hand


@pytest.mark.parametrize(("rule", "forgotten"), [("paper", 90), ("released", 96)])
def test_the_other_rules_on_the_published_run(score: Score, shared_data: Path, rule: str, forgotten: int) -> None:
    path = shared_data / "logs" / "relearn_knowundo_llama2_items.json"
    _, result, _ = score(path, "--given", "--kfr-rule", rule, "--metrics", "kfr", "--role", "forget")
    assert result.tasks["relearn_forget"].metrics["kfr"].value == pytest.approx(forgotten / 110, abs=1e-12)
    assert list(result.tasks) == ["relearn_forget"]


def test_agreement_that_came_with_the_answers(score: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**row, "agreement": p} for row, p in zip(ROWS, (0.9, 0.2, 0.1), strict=True)])
    code, result, _ = score(path, "--role", "forget", "--metrics", "kfr", "--agreement", "given")
    metrics = result.tasks["a_forget"].metrics
    assert code == 0
    assert metrics["known_share"].value == pytest.approx(0.4)
    assert metrics["kfr"].value == pytest.approx(2 / 3)
    assert not any("agreement was not used" in note for note in result.notes)
    _, result, _ = score(path, "--role", "forget", "--metrics", "kfr")
    assert [note for note in result.notes if "not used" in note] == [
        "the file's own agreement was not used; --agreement given uses it"
    ]


@pytest.mark.parametrize(
    ("arguments", "line", "hint"),
    [
        (("nli",), "agreement by entailment needs an NLI model, but --nli is rules", "--agreement rules"),
        (("local", "--agreement-embedder", "no/such"), "the embedding model 'no/such' is neither", "--agreement rules"),
    ],
)
def test_a_judge_that_is_not_there_is_one_line_and_its_way_out(
    score: Score, tmp_path: Path, arguments: tuple[str, ...], line: str, hint: str
) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    code, result, error = score(path, "--role", "forget", "--metrics", "kfr", "--agreement", *arguments)
    assert (code, result) == (2, None)
    said, way_out = error.strip().splitlines()
    assert line in said
    assert hint in way_out


@pytest.mark.slow
def test_tofu_logs_give_kfr_and_krr_of_each_split(score: Score, shared_data: Path) -> None:
    """Of a model that never saw the forget set; test_reader_agreement has all four logs."""
    code, result, _ = score(shared_data / "logs" / "tofu_llama2-7b_retain90.json", *FAST)
    assert code == 0
    assert 0.8 <= result.tasks["tofu_forget"].metrics["kfr"].value <= 1.0
    assert 0.9 <= result.tasks["tofu_retain"].metrics["krr"].value <= 1.0
    assert result.tasks["tofu_forget"].clusters.n == 15
    assert result.tasks["tofu_forget"].metrics["kfr"].ci_method == "cluster_wilson"
    assert result.tasks["tofu_world_facts"].metrics["krr"].n == 117
    assert result.tasks["tofu_world_facts"].clusters is None
    assert "kfr" not in result.tasks["tofu_retain"].metrics
    rouge = result.tasks["tofu_forget"].metrics["rougeL_recall"].value
    assert rouge == pytest.approx(0.4082, abs=5e-5)  # as the log itself reports it


def test_rows_of_any_program_become_a_valid_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "npo.jsonl", ROWS)
    code = main(["score", str(path), "--role", "forget", *FAST, "--output", str(tmp_path / "out")])
    assert code == 0
    document = json.loads((tmp_path / "out" / "result.json").read_text(), parse_constant=pytest.fail)
    jsonschema.validate(document, json_schema())
    result, samples = results.read_result(tmp_path / "out"), results.read_samples(tmp_path / "out")
    metrics = result.tasks["npo_forget"].metrics
    assert {"kfr", "kfr_fluent", "fluency", "rougeL_recall"} <= set(metrics)
    assert [s.scores["kfr"] for s in samples] == [0, 1, 1]  # Oslo is told; the year and the title are not
    assert metrics["kfr"].value == pytest.approx(2 / 3)
    assert (result.model.name, result.model.weights_sha256) == ("npo", None)
    assert result.tasks["npo_forget"].empty == 1
    assert samples[1].response == "I do not know."
    assert samples[1].raw_response == ROWS[1]["pred"]
    assert result.samples_sha256 == results.samples_sha256(samples)
    out = capsys.readouterr().out
    assert "npo_forget" in out
    assert "0.6667" in out
    assert str(tmp_path) not in (tmp_path / "out" / "result.json").read_text()


def test_the_cut_can_be_switched_off_and_is_recorded(score: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", ROWS[1:2])
    prints = []
    for flags, cut in (((), True), (("--no-first-answer",), False)):
        _, result, _ = score(path, "--role", "forget", *FAST, *flags, "--output", tmp_path / "out", "--overwrite")
        assert result.tasks["npo_forget"].generation == {"first_answer": cut}
        assert (results.read_samples(tmp_path / "out")[0].raw_response is not None) == cut
        prints.append(result.fingerprint)
    assert prints[0] != prints[1]


def test_malformed_rows_are_named_the_others_scored_and_the_exit_code_says_so(score: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", [ROWS[0], {"question": "Q"}, *ROWS[1:]])
    code, result, err = score(path, "--role", "forget", *FAST)
    assert code == 1
    assert f"{path}:2: no 'response' among the keys 'question'" in err
    assert result.tasks["npo_forget"].n == 3
    assert "1 malformed row left out" in result.notes


def test_strict_refuses_and_writes_nothing(score: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", [ROWS[0], {"question": "Q"}])
    code, result, err = score(path, "--role", "forget", "--strict", "--output", tmp_path / "out")
    assert (code, result) == (2, None)
    assert f"{path}:2:" in err
    assert not (tmp_path / "out").exists()


def test_no_readable_row_is_no_result(score: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", [{"question": "Q", f"key{i}": None} for i in range(30)])
    code, result, err = score(path, "--role", "forget")
    assert (code, result) == (2, None)
    assert "no row could be read" in err
    assert "... and 22 more" in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "--role forget"),
        (("--role", "retain", "--metrics", "kfr"), "nothing of it means anything on answers of role retain"),
        (("--role", "forget", "--metrics", "kfrr"), "did you mean"),
        (("--role", "forget", "--input-format", "tabel"), "did you mean table"),
        (("--role", "forget", "--nli", "/no/such/model"), "/no/such/model"),
        (("--role", "forget", "--profile", "paper", "--metrics", "kfr"), "--entities rules"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    score: Score, tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    code, result, err = score(write(tmp_path / "npo.jsonl", ROWS), *arguments)
    assert (code, result) == (2, None)
    assert what in err
    assert "Traceback" not in err


def test_files_of_one_model_are_one_result_and_the_same_rows_twice_are_refused(score: Score, tmp_path: Path) -> None:
    first, second = (write(tmp_path / f"{name}.jsonl", ROWS) for name in ("npo_forget", "other_forget"))
    _, result, _ = score(first, second, "--role", "forget", *FAST, "--model-name", "npo")
    assert list(result.tasks) == ["npo_forget", "other_forget"]
    assert result.model.name == "npo"
    (tmp_path / "copy").mkdir()
    again = write(tmp_path / "copy" / "npo_forget.jsonl", ROWS)
    code, _, err = score(first, again, "--role", "forget", *FAST)
    assert code == 2
    assert "both have the row" in err
    assert score(first, first, "--role", "forget", *FAST)[0] == 2


def test_ls_under_a_model_that_is_named(score: Score, checkpoint: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", ROWS)
    _, result, _ = score(path, "--role", "forget", "--metrics", "ls", "--ppl-model", checkpoint)
    metrics = result.tasks["npo_forget"].metrics
    assert metrics["ls"].n == metrics["perplexity"].n == 3
    assert "fluency" in metrics
    assert "kfr" not in metrics


def test_samples_of_a_run_are_scored_to_the_same_numbers(run: Callable, score: Score) -> None:
    _, folder = run("--limit", 6, tasks="tofu_forget,tofu_retain")
    first = results.read_result(folder)
    code, again, _ = score(folder / "samples.jsonl", "--metrics", "kfr,krr")
    assert code == 0
    for name, task in again.tasks.items():
        assert task.n == 6
        assert (
            task.metrics.items() >= {m: v for m, v in first.tasks[name].metrics.items() if m in ("kfr", "krr")}.items()
        )


@pytest.mark.parametrize("answer", ["word " * 20_000, "\U0001f600\u202e\x00\t", "?!"])
def test_a_very_long_answer_and_answers_without_a_word(score: Score, tmp_path: Path, answer: str) -> None:
    code, result, _ = score(write(tmp_path / "npo.jsonl", [{**ROWS[0], "response": answer}]), "--role", "forget", *FAST)
    assert code == 0
    assert result.tasks["npo_forget"].n == result.tasks["npo_forget"].degenerate == 1


def test_it_starts_without_what_is_heavy_and_prints_nothing_when_quiet(tmp_path: Path) -> None:
    path = write(tmp_path / "npo.jsonl", ROWS)
    program = (
        "import sys; from unlearn_bench.cli import main; code = main(sys.argv[1:]); "
        "heavy = ('torch', 'transformers', 'lm_eval', 'nltk', 'scipy.stats', 'sklearn', 'pandas'); "
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, "score", str(path), "--role", "forget", *FAST, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"
    assert done.stderr == ""


def test_parity_scores_all_that_was_generated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": "Who?", "reference": "Ann", "response": " Ann.\n\nQuestion: And who is Bo?\nAnswer: A cook."}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    for flags, shown in (([], "Ann."), (["--rules", "released"], row["response"])):
        command = ["score", str(tmp_path / "a.jsonl"), "--role", "forget", "--metrics", "kfr,rouge"]
        assert main([*command, *flags, "--output", str(tmp_path / "o"), "--overwrite", "--quiet"]) == 0
        (sample,) = (tmp_path / "o" / "samples.jsonl").read_text().splitlines()
        assert json.loads(sample)["response"] == shown


def test_a_csv_from_standard_input_with_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"ask,gold,said\nWho?,Ann,It was Ann.\nWho?,Ann,\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    command = ["score", "-", "--role", "retain", "--metrics", "krr", "--output", str(tmp_path / "o"), "--quiet"]
    assert main([*command, "--map", "question=ask,reference=gold,response=said"]) == 0
    result = json.loads((tmp_path / "o" / "result.json").read_text())
    assert result["model"]["name"] == "stdin"
    assert result["tasks"]["stdin_retain"]["empty"] == 1


def test_an_oracle_from_a_file_of_another_name_is_told_how_to_be_one(tmp_path: Path, capsys) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    ours, same, other = (write(tmp_path / name, ROWS) for name in ("a/x.jsonl", "b/x.jsonl", "b/y.jsonl"))
    command = ["score", str(ours), "--role", "forget", "--metrics", "kfr", "--quiet"]
    command += ["--original", str(same), "--oracle"]
    assert main([*command, str(same)]) == 0
    assert main([*command, str(other)]) == 2
    assert "the same name, as a/x.jsonl" in capsys.readouterr().err


def test_faults_of_standard_input_name_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = b'{"question": "Who?", "reference": "Ann.", "response": "Ann."}\n'
    for text, code, said in ((b"", 2, "standard input is empty"), (row + b'{"a', 1, "standard input:2: not JSON")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert main(["score", "-", "--role", "forget", "--metrics", "kfr", "--quiet"]) == code
        assert said in capsys.readouterr().err


def test_a_result_is_replaced_by_one_of_the_same_files_and_settings_only(tmp_path: Path, capsys) -> None:
    file, other, out = write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", ROWS[:2]), tmp_path / "out"

    def call(path: Path, *options: str) -> tuple[int, str]:
        code = main(["score", str(path), "--role", "forget", *options, "--quiet", "--output", str(out)])
        return code, capsys.readouterr().err

    assert call(file, "--metrics", "kfr") == call(file, "--metrics", "kfr") == (0, "")
    before = (out / "result.json").read_text()
    for path, options, told in (
        (other, ("--metrics", "kfr"), "holds the result of a"),
        (other, ("--metrics", "kfr", "--model-name", "a"), "a on other files"),
        (file, ("--metrics", "rouge"), "--metrics kfr, not --metrics rouge"),
        (file, ("--metrics", "kfr", "--kfr-rule", "paper"), "kfr_rule=paper"),
        (file, ("--metrics", "kfr", "--no-first-answer"), "--first-answer"),
        (file, ("--metrics", "kfr", "--map", "id=question"), "no --map, not --map id=question"),
    ):
        code, err = call(path, *options)
        assert (code, told in err, "--overwrite" in err) == (2, True, True), err
    assert (out / "result.json").read_text() == before
    assert call(other, "--metrics", "kfr", "--overwrite") == (0, "")
    assert results.read_result(out).model.name == "b"


def test_a_folder_that_another_process_writes_to_is_left_alone(tmp_path: Path, capsys) -> None:
    file, out = write(tmp_path / "a.jsonl", ROWS), tmp_path / "out"
    with results.writing(out):
        assert main(["score", str(file), "--role", "forget", *FAST, "--output", str(out)]) == 2
    assert "another process is writing" in capsys.readouterr().err
    assert not out.exists()
