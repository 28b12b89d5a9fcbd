"""Exports follow the formats' own published definitions, and lose no number."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.leaderboard_documents import make_result
from unlearn_bench.boards.board import Entry
from unlearn_bench.errors import UserError
from unlearn_bench.results import result_digest
from unlearn_bench.schema import MetricValue, Result
from unlearn_bench.site import export


@pytest.fixture
def result() -> Result:
    result = make_result()
    task = result.tasks["demo_kfr"]
    task.dataset = task.dataset.model_copy(update={"source": "hub:locuslab/TOFU", "revision": "abc"})
    task.metrics["perplexity"] = MetricValue(value=12.5, n=100, higher_is_better=False)
    task.metrics["krr"] = MetricValue(value=None, n=0, unscored=100, higher_is_better=True)
    return result


@pytest.fixture
def entry(result: Result) -> Entry:
    return Entry(
        name="relearn",
        submitted="2026-01-02T03:04:05Z",
        relationship="first_party",
        paper="https://example.org/paper",
        result_sha256=result_digest(result),
        result=result,
    )


def test_hub_format_is_read_back_by_the_hubs_own_library(result: Result, entry: Entry) -> None:
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "EvalResultEntry"):
        pytest.skip("this huggingface_hub is older than eval results")
    from huggingface_hub._eval_results import parse_eval_result_entries

    found = yaml.safe_load(yaml.safe_dump(export.hf_eval_results(result, entry=entry)))
    entries = {e.task_id: e for e in parse_eval_result_entries(found)}
    assert set(entries) == {"demo_kfr_kfr", "demo_kfr_fluency", "demo_kfr_perplexity"}  # undefined ones are left out
    kfr = entries["demo_kfr_kfr"]
    assert (kfr.value, kfr.dataset_id, kfr.dataset_revision) == (0.8, "locuslab/TOFU", "abc")
    assert (kfr.date, kfr.source_url) == ("2026-01-02T03:04:05Z", "https://example.org/paper")
    assert "95% interval 0.7112 to 0.8666" in kfr.notes
    assert "lower is better" in entries["demo_kfr_perplexity"].notes


def test_a_dataset_that_is_not_on_the_hub_is_refused() -> None:
    with pytest.raises(UserError, match="demo is not there"):
        export.hf_eval_results(make_result())


def test_every_eval_ever_keeps_values_intervals_and_directions(result: Result, entry: Entry) -> None:
    record = export.every_eval_ever(result, organization="Test", entry=entry)
    assert record["model_info"]["name"] == record["model_info"]["id"] == "relearn"  # as the board calls it
    assert record["model_info"]["additional_details"]["evaluated_as"] == "demo-model"
    found = {e["evaluation_result_id"]: e for e in record["evaluation_results"]}
    kfr = found["demo_kfr/kfr"]["score_details"]
    assert kfr["score"] == 0.8
    assert kfr["uncertainty"]["confidence_interval"]["lower"] == pytest.approx(0.7112, abs=1e-4)
    assert found["demo_kfr/perplexity"]["metric_config"]["lower_is_better"]
    assert found["demo_kfr/perplexity"]["metric_config"]["max_score"] == "Infinity"
    assert record["source_metadata"]["evaluator_relationship"] == "first_party"
    json.dumps(record, allow_nan=False)


@pytest.mark.slow
def test_every_eval_ever_follows_the_published_schema(result: Result, entry: Entry, tmp_path: Path) -> None:
    named = os.environ.get("UNLEARN_BENCH_EEE_SCHEMA")
    schema = json.loads(Path(named).read_text()) if named else _published_schema(tmp_path)
    validator = jsonschema.Draft7Validator if "draft-07" in schema["$schema"] else jsonschema.Draft202012Validator
    for given in (entry, None):
        record = export.every_eval_ever(result, organization="Test", entry=given)
        validator(schema).validate(record)
    with pytest.raises(jsonschema.ValidationError):
        validator(schema).validate({**record, "evaluation_results": [{}]})


def _published_schema(folder: Path) -> dict:
    """From the published wheel, which needs a newer Python than ours: only its data is read."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--python-version", "3.13"]
    command += ["--only-binary=:all:", f"every-eval-ever=={export.EVERY_EVAL_EVER_VERSION}", "-d", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("every-eval-ever is not to be had, and UNLEARN_BENCH_EEE_SCHEMA names no eval.schema.json")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return json.loads(archive.read("every_eval_ever/schemas/eval.schema.json"))
