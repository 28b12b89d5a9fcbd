"""meta.json and meta.md, and the verb on results in folders."""

import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import write_run
from tests.unit.meta.pools import a_member, a_pool, written_pool
from unlearn_bench.cli import main
from unlearn_bench.meta import document, table
from unlearn_bench.meta.evaluate import evaluate

ROOT = Path(__file__).parents[3]


BOARDS = ROOT / "leaderboards"
PAGE = ROOT / "docs/believe.md"


def committed(benchmark):
    return strict((BOARDS / f"{benchmark}_meta/table.json").read_text(encoding="utf-8"))


def shows(lines):
    assert len(lines) > 10
    return "\n".join(lines) in PAGE.read_text(encoding="utf-8")


def test_the_page_shows_the_committed_tables():
    nano, smol = committed("nano"), committed("smol")
    for role in nano["pools"]:
        assert shows(document.grid(table.COLUMNS, table.rows(nano, role))), f"not the {role} rows of nano's table.json"
    for role in smol["pools"]:
        assert shows(document.grid(table.BESIDE, table.beside({"nano": nano, "smol": smol}, role))), role


@pytest.mark.parametrize("benchmark", ["nano", "smol"])
def test_the_committed_table_is_also_text(benchmark):
    text = (BOARDS / f"{benchmark}_meta/table.md").read_text(encoding="utf-8")
    assert text == table.markdown(committed(benchmark))


def test_tables_of_two_benchmarks_stand_beside_each_other():
    one = {"metric": "nano_forget/kfr", "knows": "lower", "auc": 0.9, "ci95": [0.8, 1.0], "published": None}
    two = {**one, "metric": "smol_forget/kfr", "auc": 0.7, "ci95": [0.5, 0.9]}
    more = {**one, "metric": "nano_forget/rougeL_recall", "published": {"auc": 0.722}}
    language = {**one, "metric": "nano_forget/ls", "knows": None}
    tables = {name: {"pools": {"forget": {"metrics": metrics}}} for name, metrics in
              (("nano", [one, more, language]), ("smol", [two]))}  # fmt: skip
    assert table.beside(tables) == [
        ["forget/kfr", "0.900 [0.80, 1.00]", "0.700 [0.50, 0.90]", "-"],
        ["forget/rougeL_recall", "0.900 [0.80, 1.00]", "-", "0.722"],
    ]


def strict(text):
    return json.loads(text, parse_constant=pytest.fail)


def test_both_files_hold_every_metric(tmp_path):
    report = evaluate([*a_pool(), a_member("broken", "wreck", kfr=100, fluency=0.0)])
    document.write(report, tmp_path)
    told = strict((tmp_path / "meta.json").read_text(encoding="utf-8"))
    assert [one["key"] for one in told["metrics"]] == [one.key for one in report.metrics]
    assert told["correlations"]["metrics"] == ["demo_kfr/kfr"]
    text = (tmp_path / "meta.md").read_text(encoding="utf-8")
    assert all(one.key in text for one in report.metrics)


def test_undefined_is_a_dash_and_null():
    pool = a_pool()
    report = evaluate(pool)
    row = document.rows(report)[0]
    assert dict(zip(document.COLUMNS, row, strict=True))["R"] == "-"
    assert document.to_dict(report)["metrics"][0]["relearning"] is None


def test_a_name_cannot_break_the_table():
    pool = [*a_pool(), a_member("positive", "a|b\n| c", kfr=5, seed=99)]
    report = evaluate([*pool[:-1], pool[-1]])
    assert all(line.count("\n") == 0 for line in document.to_markdown(report).splitlines())


def test_the_verb_reads_folders_of_results(tmp_path, capsys):
    pool = written_pool(tmp_path / "pool")
    sides = ["--positive", str(pool / "positive"), "--negative", str(pool / "negative")]
    assert main(["meta", *sides, "--output", str(tmp_path / "out")]) == 0
    assert "demo_kfr/kfr" in capsys.readouterr().out
    told = strict((tmp_path / "out" / "meta.json").read_text(encoding="utf-8"))
    assert told["models"]["positive"] == ["positive-10", "positive-2", "positive-30"]
    assert told["metrics"][0]["auc"] == 1.0


def test_the_verb_prints_json_and_takes_names_apart_or_between_commas(tmp_path, capsys):
    pool = written_pool(tmp_path / "pool")
    positive = [str(pool / "positive" / f"positive-{kfr}") for kfr in (2, 10, 30)]
    sides = ["--positive", positive[0], ",".join(positive[1:]), "--negative", str(pool / "negative")]
    assert main(["meta", *sides, "--json"]) == 0
    assert len(strict(capsys.readouterr().out)["models"]["positive"]) == 3


def test_results_under_stress_lie_in_the_models_folder(tmp_path, capsys):
    pool = written_pool(tmp_path / "pool")
    for name, kfr, after in (("unlearned/u", 80, 70), ("oracle", 90, 80)):
        write_run(pool / name, name, kfr=kfr, seed=kfr)
        write_run(pool / name / "relearning", name, kfr=after, seed=kfr)
        write_run(pool / name / "quantization", name, kfr=kfr, seed=kfr)
    sides = ["--positive", str(pool / "positive"), "--negative", str(pool / "negative")]
    more = ["--unlearned", str(pool / "unlearned"), "--oracle", str(pool / "oracle")]
    assert main(["meta", *sides, *more, "--json"]) == 0
    found = strict(capsys.readouterr().out)["metrics"][0]
    assert found["relearning"]["symmetric"] == pytest.approx(1.0)
    assert found["quantization"]["symmetric"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda pool: [
                *("--positive", str(pool / "positive"), str(pool / "nothing"), "--negative", str(pool / "negative"))
            ],
            "nothing",
        ),
        (lambda pool: ["--positive", str(pool / "empty"), "--negative", str(pool / "negative")], "without a model"),
        (lambda pool: ["--positive", str(pool / "positive"), "--negative", str(pool / "positive")], "the same model"),
        (lambda pool: ["--positive", str(pool / "positive")], "--negative"),
        (
            lambda pool: ["--positive", str(pool / "positive"), "--negative", str(pool / "negative" / "negative-70")],
            "--negative: 1 models that do not know",
        ),
        (
            lambda pool: [
                *("--positive", str(pool / "positive"), "--negative", str(pool / "negative"), "--stress", "relearn")
            ],
            "relearning",
        ),
    ],
)
def test_bad_input_is_told_in_a_line(tmp_path, capsys, change, message):
    pool = written_pool(tmp_path / "pool")
    (pool / "empty").mkdir()
    assert main(["meta", *change(pool)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 3


def test_a_checkpoint_needs_a_folder_for_its_results(tmp_path, capsys):
    pool = written_pool(tmp_path / "pool")
    assert main(["meta", "--positive", str(pool / "positive"), "nano-full", "--negative", str(pool / "negative")]) == 2
    assert "--output" in capsys.readouterr().err


def test_damaged_results_are_refused(tmp_path, capsys):
    pool = written_pool(tmp_path / "pool")
    (pool / "negative" / "negative-70" / "result.json").write_text('{"schema_version": NaN}', encoding="utf-8")
    assert main(["meta", "--positive", str(pool / "positive"), "--negative", str(pool / "negative")]) == 2
    assert "result.json" in capsys.readouterr().err
