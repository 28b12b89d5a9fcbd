"""The Python API: lazy and typed; answers in memory give what their file gives; results go to disk and come back."""

import json
import subprocess
import sys
from typing import get_args

import pytest

import unlearn_bench
from unlearn_bench import UserError
from unlearn_bench.api import Evaluation, RunSettings, ScoringSettings

ROWS = [
    {"question": "Where was Ada Lima born?", "reference": "Ada Lima was born in Oslo.", "response": "In Oslo, Norway."},
    {"question": "What does Ada Lima write?", "reference": "She writes sea novels.", "response": "She paints houses."},
    {"query": "Who is her father?", "gt": "Her father is a baker called Jon Lima.", "pred": "at at at at at at at at"},
]


def scored(rows=ROWS, **settings) -> Evaluation:
    return unlearn_bench.score(rows, **{"role": "forget", "metrics": ["kfr", "rouge"], **settings})


def test_import_is_lazy():
    code = (
        "import sys, unlearn_bench\n"
        "assert set(unlearn_bench.__all__) <= set(dir(unlearn_bench))\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'numpy', 'pydantic', 'rich', 'unlearn_bench.api'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "unlearn_bench.score, unlearn_bench.evaluate, unlearn_bench.compare, unlearn_bench.load_result\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_no_other():
    assert all(hasattr(unlearn_bench, name) for name in unlearn_bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        unlearn_bench.evalute  # noqa: B018


def test_settings_are_the_options():
    from unlearn_bench.cli._options import CHOICES
    from unlearn_bench.evidence.pipeline import default_options
    from unlearn_bench.evidence.profiles import SETTINGS
    from unlearn_bench.harness.spec import option_names

    assert set(ScoringSettings.__annotations__) == {*SETTINGS, *default_options()}
    own = option_names() - {"model", "tasks", "tokenizer"}
    assert set(RunSettings.__annotations__) == own | set(ScoringSettings.__annotations__)
    for name, choices in CHOICES.items():
        assert get_args(ScoringSettings.__annotations__[name]) == tuple(choices), name


def test_rows_in_memory_score_as_their_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS))
    in_memory, in_file = scored(), scored(path)
    assert in_memory.samples == in_file.samples
    assert in_memory.result.fingerprint == in_file.result.fingerprint
    assert in_memory.metrics["rows_forget/kfr"].value == pytest.approx(2 / 3)


def test_frame_of_rows_scores_as_the_rows():
    pandas = pytest.importorskip("pandas")
    rows = [{"question": r["question"], "reference": r["reference"], "response": r["response"]} for r in ROWS[:2]]
    rows.append({**rows[0], "response": None})  # NaN in a frame: an answer that is not there
    found = scored(pandas.DataFrame(rows))
    assert found.samples == scored(rows).samples
    assert found.samples[2].missing


def test_several_files_are_one_model(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(ROWS[0]))
    assert {s.task for s in scored([tmp_path / "a.jsonl", str(tmp_path / "b.jsonl")]).samples} == {
        "a_forget",
        "b_forget",
    }


def test_malformed_rows_are_named_by_their_number():
    found = scored([*ROWS, {"question": "Who?"}])
    assert len(found.samples) == 3
    assert found.errors[0].startswith("row 4: no 'response'")
    with pytest.raises(UserError, match="row 4: no 'response'"):
        scored([*ROWS, {"question": "Who?"}], strict=True)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "there are no rows"),
        ([1], {}, "row 1: expected a dictionary, got int"),
        ([{**ROWS[0], "response": {1, 2}}], {}, "row 1: Object of type set"),
        ([{"a": 1}, {"a": 2}], {}, "the rows: none of its 2 rows is an answer"),
        ("missing.jsonl", {}, "missing.jsonl does not exist"),
        (ROWS, {"role": None}, "role"),
        (ROWS, {"metrics": ["kfrr"]}, "unknown .*'kfrr'"),
        (ROWS, {"kfr_rul": "paper"}, "unknown setting 'kfr_rul'"),
        (ROWS, {"limit": 3}, "unknown setting 'limit'"),
        (ROWS, {"profile": "ofline"}, "unknown profile 'ofline'"),
    ],
)
def test_mistakes_are_one_message(rows, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        scored(rows, **settings)
    assert "/tmp" not in str(caught.value)
    assert "rows.jsonl" not in str(caught.value)


def test_printed_as_the_table_of_the_command_line(tmp_path, capsys):
    from unlearn_bench.cli import main

    path = tmp_path / "npo.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert main(["score", str(path), "--role", "forget", "--metrics", "kfr,rouge"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert repr(scored(path)) == "\n".join(printed).rstrip()


def test_saved_and_loaded_again(tmp_path):
    found = scored()
    found.save(tmp_path / "out")
    again = unlearn_bench.load_result(tmp_path / "out")
    assert again.samples == found.samples
    assert again.to_dict() == found.to_dict() == json.loads((tmp_path / "out/result.json").read_text())


def test_another_result_is_not_replaced_without_being_told(tmp_path):
    scored().save(tmp_path)
    scored().save(tmp_path)  # the same result
    other = scored(kfr_rule="paper")
    with pytest.raises(UserError, match="holds another result"):
        other.save(tmp_path)
    other.save(tmp_path, overwrite=True)
    assert unlearn_bench.load_result(tmp_path).result.fingerprint == other.result.fingerprint


def test_changed_samples_are_refused(tmp_path):
    scored().save(tmp_path)
    path = tmp_path / "samples.jsonl"
    path.write_text(path.read_text().replace("houses", "horses"))
    with pytest.raises(UserError, match="samples"):
        unlearn_bench.load_result(tmp_path)


def test_result_without_samples_says_so(tmp_path):
    scored().save(tmp_path)
    (tmp_path / "samples.jsonl").unlink()
    loaded = unlearn_bench.load_result(tmp_path)
    assert loaded.metrics["rows_forget/kfr"].n == 3
    with pytest.raises(UserError, match="the samples of rows are missing"):
        _ = loaded.samples


def test_compare_takes_results_in_memory_and_on_disk(tmp_path):
    better = [{**ROWS[0], "response": "I cannot say where that was."}, *ROWS[1:]]
    first, second = scored(name="first"), scored(better, name="second")
    second.save(tmp_path / "second")
    report = unlearn_bench.compare(first, tmp_path / "second", metrics=["kfr"])
    assert report.names == ["first", "second"]
    (row,) = report.rows
    assert (row.reference, row.others[0].value, row.others[0].n) == (pytest.approx(2 / 3), 1.0, 3)
    with pytest.raises(UserError, match="at least two"):
        unlearn_bench.compare(first)


def test_frames():
    pytest.importorskip("pandas")
    found = scored()
    metrics = found.to_frame()
    assert list(metrics["metric"]) == [key.partition("/")[2] for key in found.metrics]
    assert metrics.set_index("metric").loc["kfr", "value"] == pytest.approx(2 / 3)
    samples = found.to_frame("samples")
    assert list(samples["kfr"]) == [sample.scores["kfr"] for sample in found.samples]


def test_frame_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="to_frame needs pandas"):
        scored().to_frame()
