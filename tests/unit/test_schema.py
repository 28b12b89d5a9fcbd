"""The documents are strict, and the published JSON Schema is the one of the code."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from unlearn_bench.schema import MetricValue, Response, Sample, json_schema

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "result.schema.json"
SAMPLE = {"id": "1", "task": "t", "split": "forget", "question": "?", "reference": "r", "response": "a"}


def test_published_schema_is_that_of_the_code():
    assert json.loads(PUBLISHED.read_text()) == json_schema(), "write json_schema() to leaderboards/result.schema.json"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "0.5x"])
def test_numbers_are_finite(value):
    with pytest.raises(ValidationError):
        MetricValue(value=value, n=1)
    with pytest.raises(ValidationError):
        Sample(**SAMPLE, scores={"kfr": value})


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"split": "train"}, {"nli_label": "CONTRADICTION"}, {"nli_probability": 2}]
)
def test_samples_are_strict(change):
    with pytest.raises(ValidationError):
        Sample(**{**SAMPLE, **change})


def test_undefined_is_not_zero():
    assert MetricValue(value=None, n=0, unscored=3).model_dump()["value"] is None


def test_a_response_may_lack_a_reference_but_must_say_so():
    with pytest.raises(ValidationError):
        Response(**{key: value for key, value in SAMPLE.items() if key != "reference"})
