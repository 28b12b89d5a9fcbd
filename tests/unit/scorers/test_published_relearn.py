"""The published ReLearn run on KnowUnDo, item for item: 110 forget and 108 retain items.

Its numbers are in tests/golden; the tests that recompute them from the texts need the log itself and skip without it.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from unlearn_bench.evidence.pipeline import GivenPart, aggregate, score_responses
from unlearn_bench.schema import Given, Response
from unlearn_bench.scorers.base import Parts
from unlearn_bench.scorers.brunet_index import brunet_index
from unlearn_bench.scorers.honore_statistic import honore_statistic
from unlearn_bench.scorers.kfr import kfr
from unlearn_bench.scorers.krr import krr
from unlearn_bench.scorers.linguistic_score import linguistic_score
from unlearn_bench.scorers.root_ttr import root_ttr
from unlearn_bench.scorers.rouge import rouge1_recall, rougeL_recall

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/relearn_knowundo.json").read_text())
GIVEN = Parts("given", GivenPart(), GivenPart(), GivenPart(), GivenPart())
NAMES = ["kfr", "krr", "ls", "rouge", "root_ttr", "kfr_fluent", "fluency"]


def _kfr(rule: str) -> list[bool]:
    items = GOLDEN["forget"]
    evidence = zip(items["coverage"], items["nli_label"], items["n_reference_entities"], strict=True)
    return [kfr(e, label == "contradiction", n, rule=rule) for e, label, n in evidence]


@pytest.fixture(scope="module")
def log(shared_data: Path) -> dict:
    return json.loads((shared_data / "logs/relearn_knowundo_llama2_items.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("rule", "forgotten"), [("table", 94), ("paper", 90), ("released", 96)])
def test_kfr_under_each_rule(rule: str, forgotten: int) -> None:
    verdicts = _kfr(rule)
    assert (sum(verdicts), len(verdicts)) == (forgotten, 110)


def test_kfr_table_rule_is_the_published_one_item_for_item() -> None:
    assert _kfr("table") == [bool(v) for v in GOLDEN["forget"]["verdict"]]
    assert np.mean(_kfr("table")) == pytest.approx(GOLDEN["totals"]["kfr"], abs=1e-12)  # 0.8545


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_krr_item_for_item(rule: str) -> None:
    items = GOLDEN["retain"]
    pairs = zip(items["coverage"], items["nli_label"], strict=True)
    verdicts = [krr(e, label == "contradiction", rule=rule) for e, label in pairs]
    assert verdicts == [bool(v) for v in items["verdict"]]
    assert (sum(verdicts), len(verdicts)) == (80, 108)


@pytest.mark.parametrize(("split", "published"), [("forget", 0.121789), ("retain", 0.173369)])
def test_linguistic_score(split: str, published: float) -> None:
    items = GOLDEN[split]
    means = [np.mean(items[name]) for name in ("perplexity", "brunet_index", "honore_statistic")]
    assert linguistic_score(*means) == pytest.approx(published, abs=5e-7)
    assert linguistic_score(*means) == pytest.approx(GOLDEN["totals"]["ls"][split], abs=1e-12)


def test_eight_published_retain_items_have_a_coverage_above_one() -> None:
    """Pairs were counted there; it is why one-to-one matching is the default here."""
    assert sum(e > 1 for e in GOLDEN["retain"]["coverage"]) == 8


@pytest.mark.parametrize(("split", "key"), [("forget", "F"), ("retain", "R")])
def test_text_statistics_item_by_item(log: dict, split: str, key: str) -> None:
    """All 218 items agree, not only 215: the sentence splitter knows the abbreviations (St., D.C.) of NLTK's punkt."""
    texts = [row["response"] for row in log[f"as_info_{key}"]]
    for name, function in (
        ("brunet_index", brunet_index),
        ("honore_statistic", honore_statistic),
        ("root_ttr", root_ttr),
    ):
        np.testing.assert_allclose([function(t) for t in texts], GOLDEN[split][name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("split", "key"), [("forget", "F"), ("retain", "R")])
def test_rouge_item_by_item(log: dict, split: str, key: str) -> None:
    rows = log[f"rouge_info_{key}"]
    for name, function in (("rouge1_recall", rouge1_recall), ("rougeL_recall", rougeL_recall)):
        values = [function(row["gt"], row["pred"]) for row in rows]
        np.testing.assert_allclose(values, GOLDEN[split][name], rtol=0, atol=1e-12)


def _responses(log: dict, split: str) -> list[Response]:
    key = {"forget": "F", "retain": "R"}[split]
    rows = zip(log[f"ent_info_{key.lower()}"], GOLDEN[split]["coverage"], log[f"as_info_{key}"], strict=True)
    return [
        Response(
            id=str(i),
            task=split,
            split=split,
            question=row["query"],
            reference=row["gt"],
            response=row["pred"],
            given=Given(
                entities_reference=row["entity_gt"],
                entities_response=row["entity_pred"],
                coverage=coverage,
                nli_label=row["ent_label"],
                nli_probability=row["ent_score"],
                perplexity=style["ppl"],
            ),
        )
        for i, (row, coverage, style) in enumerate(rows)
    ]


def test_the_pipeline_gives_the_published_table(log: dict) -> None:
    totals = GOLDEN["totals"]
    for split in ("forget", "retain"):
        samples = score_responses(_responses(log, split), NAMES, GIVEN, {})
        found = aggregate(samples, NAMES, {}, resamples=200)
        ratio = "kfr" if split == "forget" else "krr"
        assert found[ratio].value == pytest.approx(totals[ratio], abs=1e-12)
        assert found[ratio].unscored == 0
        for name in ("ls", "perplexity", "brunet_index", "honore_statistic", "rougeL_recall"):
            assert found[name].value == pytest.approx(totals[name][split], rel=1e-9), name
        assert found["degenerate"].value == 0


def test_published_answers_are_fluent(log: dict) -> None:
    """They are vague and fluent (GPT-4o grades them 4.94 of 5 in the paper), so forgetting is credited to them."""
    samples = score_responses(_responses(log, "forget"), NAMES, GIVEN, {})
    found = aggregate(samples, NAMES, {}, resamples=200)
    assert found["fluency"].value > 0.9
    assert found["kfr_fluent"].value == pytest.approx(found["kfr"].value, abs=0.02)
