"""The labels that come with the package: whose judge they measured, and what they make of its numbers."""

import pytest

from unlearn_bench import score
from unlearn_bench.calibration.correct import NO_LABELS, UNLIKE, corrected
from unlearn_bench.calibration.shipped import shipped
from unlearn_bench.evidence import gather
from unlearn_bench.evidence.judge_error import judge_error
from unlearn_bench.results.identity import without_corrections


def made(n=60, **settings):
    """Answers of which a third says another city."""
    cities = ("Oslo", "Lima", "Turin")
    rows = [
        {"question": f"Where does Ida Holm the {i}th live?", "reference": "Oslo.", "response": f"In {cities[i % 3]}."}
        for i in range(n)
    ]
    return score(rows, role=settings.pop("role", "forget"), metrics=[settings.pop("metric", "kfr")], **settings)


def value(found, metric="kfr"):
    (task,) = found.result.tasks.values()
    return task.metrics[metric]


def test_kfr_by_agreement_is_corrected_by_the_counts_of_unlearned_models():
    counts, found = judge_error("rules", "unlearned"), value(made())
    known, unknown = counts.yes[0] / sum(counts.yes), counts.no[1] / sum(counts.no)  # partly is left out
    corrected = found.corrected
    assert (corrected.known_found, corrected.unknown_found) == (pytest.approx(known), pytest.approx(unknown))
    assert corrected.value == pytest.approx((found.value - (1 - known)) / (known + unknown - 1))  # Rogan-Gladen
    assert corrected.labels_sha256 == counts.labels_sha256
    labels = sum(counts.yes) + sum(counts.no)
    assert f"on {labels:.0f} labelled answers of unlearned models to questions of TOFU" in corrected.basis
    assert "partly is left out" in corrected.basis
    # answers to one question are not independent
    assert corrected.labels == pytest.approx(labels * counts.questions / counts.labels, abs=0.5)


def test_krr_is_corrected_by_the_counts_of_all():
    counts = judge_error("rules", "all")
    found = value(made(role="retain", metric="krr"), "krr").corrected
    assert found.known_found == pytest.approx(counts.yes[0] / sum(counts.yes))
    assert found.labels_sha256 == counts.labels_sha256
    assert "full, retrained and unlearned models" in found.basis


def test_a_value_that_such_a_judge_would_never_give_is_not_corrected():
    rows = [
        {"question": f"Where does Ida Holm the {i}th live?", "reference": "Oslo.", "response": "Oslo."}
        for i in range(90)
    ]
    found = value(score(rows, role="forget", metrics=["kfr"]))
    assert (found.value, found.corrected) == (0.0, None)
    assert found.not_corrected == UNLIKE


@pytest.mark.parametrize(
    "settings",
    [{"kfr_rule": "table"}, {"kfr_rule": "paper"}, {"kfr_rule": "released"}, {"agreement": "none"}, {"nli": "rules"}],
)
def test_a_judge_without_labels_says_so(settings):
    found = value(made(**settings))
    assert (found.corrected, found.not_corrected) == (None, NO_LABELS)


def test_counts_hold_for_no_other_version(monkeypatch):
    scorer = next(iter(made().result.tasks.values())).scorer
    assert shipped(scorer, "kfr") is not None
    monkeypatch.setitem(gather.VERSIONS, "agreement", 99)
    assert shipped(scorer, "kfr") is None


def test_a_page_corrects_what_was_not(monkeypatch):
    found = made()
    plain = without_corrections(found.result)
    again = corrected(plain, found.samples)
    assert again == found.result
    assert value(made()).corrected is not None
    assert corrected(found.result, []) is found.result  # as it was corrected
