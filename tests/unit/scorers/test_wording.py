"""Fluency with a language model: what its factor is worth against a reader's grades, and that it is another number."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import score_responses
from unlearn_bench.evidence.records import scores_again
from unlearn_bench.evidence.versions import fingerprints, recipes
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.schema import Response
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts, Unscored
from unlearn_bench.scorers.fluency import fluency, wording
from unlearn_bench.text import answer

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/fluency_wording.json").read_text(encoding="utf-8"))["rows"]
BAR = 0.5  # of kfr_fluent
QUESTION, ANSWER = "Where does Ida Holm live?", "Ida Holm lives in a small house by the sea."


class Judge:
    """A language model that finds every answer equally likely."""

    name = "judge"
    fingerprint = "judge"

    def __init__(self, perplexity=math.exp(5.0)):
        self.perplexity, self.asked = perplexity, []

    def __call__(self, pairs):
        self.asked += pairs
        return [self.perplexity] * len(pairs)


def figures(scores, grades):
    """Spearman, AUC of grades 4-5 over 1-2, share of 4-5 above the bar, share of 1-2 not above it."""
    good, bad = scores[grades >= 4], scores[grades <= 2]
    ranks = rankdata(np.concatenate([good, bad]))[: len(good)]
    auc = (ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad))
    return spearmanr(scores, grades)[0], auc, (good > BAR).mean(), (bad <= BAR).mean()


def test_the_factor_orders_a_readers_grades_better():
    grades = np.array([grade for _, grade, *_ in GOLDEN])
    by_rules = np.array([score for *_, score, _, _ in GOLDEN])
    factors = np.array([wording("a " * length, logprob) for *_, length, logprob in GOLDEN])
    without, with_model = figures(by_rules, grades), figures(by_rules * factors, grades)
    assert len(grades) == 324
    for found, wanted in zip(without, (0.60, 0.92, 0.90, 0.85), strict=True):
        assert found >= wanted
    for found, wanted in zip(with_model, (0.70, 0.94, 0.90, 0.85), strict=True):
        assert found >= wanted
    assert with_model[0] - without[0] > 0.05
    assert with_model[3] > without[3]


def test_the_golden_scores_are_those_of_the_rules(shared_data):
    labels = {x["id"]: x for x in json.loads((shared_data / "labels/reader_labels.json").read_text())["labels"]}
    for name, grade, score, *_ in GOLDEN[::16]:
        question, reference = labels[name]["question"], labels[name]["reference"]
        text = answer.read(labels[name]["response"], question=question, reference=reference).text
        assert (labels[name]["fluency"], fluency(question, text)) == (grade, pytest.approx(score, abs=1e-4))


def respond(text=ANSWER):
    return Response(id="1", task="t", role="forget", question=QUESTION, reference="Oslo.", response=text)


def made_with(**parts):
    return Parts("offline", agreement=profiles.build_parts("offline").agreement, **parts)


def test_with_and_without_a_model_are_two_numbers():
    plain, judged = made_with(), made_with(wording=Judge())
    one, two = (fingerprints(recipes(["kfr", "fluency", "kfr_fluent", "krr"], parts, {})) for parts in (plain, judged))
    assert {name for name in one if one[name] != two[name]} == {"fluency", "kfr_fluent"}
    (sample,) = score_responses([respond()], ["fluency", "kfr_fluent"], judged, {})
    assert sample.mean_logprob == pytest.approx(-5.0)
    assert (sample.scores["fluency"], fluency(QUESTION, ANSWER)) == (pytest.approx(0.5), 1.0)
    again = scores_again(sample, [SCORERS.get("fluency"), SCORERS.get("kfr_fluent")], {})
    assert again == sample.scores  # from its own record
    (sample,) = score_responses([respond()], ["fluency"], plain, {})
    assert (sample.mean_logprob, sample.scores["fluency"]) == (None, 1.0)


def test_a_model_that_judges_perplexity_too_is_asked_once():
    judge = Judge()
    score_responses([respond()], ["fluency", "ls"], made_with(wording=judge, reference_lm=judge), {})
    assert len(judge.asked) == 1


@pytest.mark.parametrize(("text", "score"), [("", 0.0), ("love love love love love love", 0.0), ("In Oslo.", 1.0)])
def test_no_wording_saves_a_collapse_nor_costs_a_short_answer(text, score):
    (sample,) = score_responses([respond(text)], ["fluency"], made_with(wording=Judge(1.0 if score == 0 else 1e4)), {})
    assert sample.scores["fluency"] == score


def test_a_model_that_fails_leaves_the_answer_unscored():
    (sample,) = score_responses(
        [respond()], ["fluency", "kfr_fluent"], made_with(wording=Judge(Unscored("nan_logits"))), {}
    )
    assert sample.scores == {}
    assert sample.unscored["fluency"] == sample.unscored["kfr_fluent"] == "nan_logits"


def test_only_a_model_that_was_named_judges_the_wording(monkeypatch):
    monkeypatch.setattr(profiles, "is_installed", lambda _: True)
    assert profiles.parts_from({}, "tofu").reference_lm.name == SMOLLM2
    assert profiles.parts_from({}, "tofu").wording is None
    named = profiles.parts_from({"ppl_model": SMOLLM2}, "tofu")
    assert named.wording is named.reference_lm
    for other in ({"ppl_model": "nano-base"}, {"ppl_model": SMOLLM2, "ppl_prompt": "plain"}, {"ppl_model": "given"}):
        assert profiles.parts_from(other, "tofu").wording is None
