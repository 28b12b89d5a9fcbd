"""No change may ruin a scorer: each keeps telling stored models that know from stored ones that do not."""

import dataclasses
import json

import pytest

from tests.unit.meta import guard
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Unscored

pytestmark = pytest.mark.slow  # scores 400 stored answers


@pytest.fixture(scope="module")
def floors():
    return json.loads(guard.FLOORS.read_text(encoding="utf-8"))


def test_every_metric_keeps_its_floor(floors):
    assert guard.fallen(guard.measure(), floors) == []


def test_the_floors_are_worth_something(floors):
    assert {"nano_forget/kfr", "nano_forget/rougeL_recall", "nano_forget/ls", "nano_summary/mia_loss"} <= set(floors)
    assert len(floors) > 40
    assert min(floors.values()) > 0.6


BREAKS = {
    "turned round": lambda value: 1.0 - value,
    "constant": lambda value: 0.5,
    "lost": lambda value: Unscored("broken"),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("name", ["kfr", "rouge", "probability", "extraction_strength"])
def test_a_scorer_that_is_ruined_is_seen(monkeypatch, floors, name, how):
    """The guard can fail: each of these changes takes a metric below its floor."""
    scorer = SCORERS.get(name)

    def broken(sample, options):
        found = scorer.score(sample, options)
        return {k: v if isinstance(v, Unscored) else BREAKS[how](v) for k, v in found.items()}

    real = type(SCORERS).get
    changed = dataclasses.replace(scorer, score=broken)
    monkeypatch.setattr(type(SCORERS), "get", lambda self, key: changed if key == name else real(self, key))
    told = guard.fallen(guard.measure(), floors)
    assert any(line.startswith(f"nano_forget/{metric.name}:") for metric in scorer.metrics for line in told)


def test_ls_that_takes_loops_for_language_is_seen(monkeypatch, floors):
    scorer = SCORERS.get("linguistic_score")

    def broken(name, means):
        return 1.0 - scorer.combine(name, means)

    real = type(SCORERS).get
    changed = dataclasses.replace(scorer, combine=broken)
    monkeypatch.setattr(
        type(SCORERS), "get", lambda self, key: changed if key == "linguistic_score" else real(self, key)
    )
    assert any(line.startswith("nano_forget/ls:") for line in guard.fallen(guard.measure(), floors))
