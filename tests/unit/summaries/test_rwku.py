"""RWKU's table: all questions of a target together, then the mean over targets; the nine kinds of attack."""

import json

import pytest

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.rwku_rouge import SCORER
from unlearn_bench.summaries.aggregate import summarise
from unlearn_bench.summaries.rwku import ATTACKS


def sample(i: int, target: str, value: float, kind: str = "cloze", role: str = "forget") -> Sample:
    return Sample(
        id=f"{role}-{i}",
        task=role,
        role=role,
        question=f"{i}?",
        reference="a",
        response="b",
        cluster=target,
        kind=kind,
        scores={"rwku_rougeL_recall": value},
    )


def test_targets_weigh_the_same():
    found = summarise([sample(0, "Ada", 1.0), sample(1, "Bo", 0.0), sample(2, "Bo", 0.5)], None, {})
    assert found["rwku_forget"].value == pytest.approx((1.0 + 0.25) / 2)
    assert found["rwku_forget"].n == 3
    assert found["rwku_neighbour"].value is None
    assert found["rwku_neighbour"].unscored_reasons.keys() == {"no_neighbour_questions"}


def test_kinds_of_attack():
    kinds = [*list(ATTACKS.values())[:-1], "cross lingual (French)", "cross lingual (German)"]
    found = summarise([sample(i, "Ada", i / 10, kind) for i, kind in enumerate(kinds)], None, {})
    assert found["rwku_attack_prefix_injection"].value == 0.0
    assert found["rwku_attack_cross_lingual"].value == pytest.approx((0.8 + 0.9) / 2)
    assert sum(found[f"rwku_attack_{name}"].n for name in ATTACKS) == 10


def test_a_published_run(shared_data):
    told = json.loads((shared_data / "rwku" / "results" / "ga_lowlr" / "forget.json").read_text(encoding="utf-8"))
    rows = [
        Sample(
            id=str(i),
            task="rwku",
            role="forget",
            question=x["query"],
            reference=x["answer"],
            response=x["prediction"],
            cluster=x["subject"],
            kind=x["type"],
        )
        for i, x in enumerate(told["results"])
    ]
    scored = [row.model_copy(update={"scores": SCORER.score(row, {})}) for row in rows]
    levels = [told[f"level_{level}_rouge_l_r"] for level in (1, 2, 3)]
    found = summarise(scored, None, {})["rwku_forget"]
    assert found.value == pytest.approx(sum(v * n for v, n in zip(levels, (8, 10, 29), strict=True)) / 47, abs=1e-12)
    assert found.ci95[0] <= found.value <= found.ci95[1]


def test_losses_of_texts(shared_data):
    """FM and RM of the published original: log-likelihoods there."""
    rows = []
    for role, name in (("forget", "forget_mia"), ("retain", "retain_mia")):
        path = shared_data / "rwku" / "results" / "ori" / f"{name}.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        for i, value in enumerate(told["results"]["loss"]):
            rows.append(
                sample(i, "Ada", 0.0, role=role).model_copy(update={"question": "", "scores": {"loss": -value}})
            )
    found = summarise([*rows, sample(99, "Ada", 1.0)], None, {})
    assert found["rwku_fm"].value == pytest.approx(2.481913605603305)
    assert found["rwku_rm"].value == pytest.approx(2.358776372832221)
    assert found["rwku_forget"].n == 1
