"""The labels that come with the package: whose judge they measured, and what they make of its numbers."""

import pytest

from unlearn_bench import score
from unlearn_bench.calibration.correct import NO_LABELS, corrected, known_and_unknown
from unlearn_bench.calibration.shipped import GROUP, shipped
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
    counts, found = judge_error("rules", GROUP), value(made())
    yes, partly, no = (sum(pair) for pair in (counts.yes, counts.partly, counts.no))
    known = (counts.yes[0] + counts.partly[0] / 2) / (yes + partly / 2)  # partly is half known
    unknown = (counts.no[1] + counts.partly[1] / 2) / (no + partly / 2)
    assert (found.corrected.known_found, found.corrected.unknown_found) == (
        pytest.approx(known),
        pytest.approx(unknown),
    )
    assert found.corrected.value == pytest.approx((found.value - (1 - known)) / (known + unknown - 1))  # Rogan-Gladen
    assert found.corrected.labels_sha256 == counts.labels_sha256
    assert (
        f"{counts.labels} labelled answers of unlearned models to {counts.questions} questions" in found.corrected.basis
    )
    assert found.corrected.labels == counts.questions  # answers to one question are not independent


def test_krr_mirrors_kfr():
    scorer = next(iter(made().result.tasks.values())).scorer
    kfr = known_and_unknown("kfr", shipped(scorer).metrics["kfr"])
    krr = value(made(role="retain", metric="krr"), "krr").corrected
    assert (krr.known_found, krr.unknown_found) == (pytest.approx(kfr[0]), pytest.approx(kfr[1]))


@pytest.mark.parametrize(
    "settings",
    [{"kfr_rule": "table"}, {"kfr_rule": "paper"}, {"kfr_rule": "released"}, {"agreement": "none"}, {"nli": "rules"}],
)
def test_a_judge_without_labels_says_so(settings):
    found = value(made(**settings))
    assert (found.corrected, found.not_corrected) == (None, NO_LABELS)


def test_counts_hold_for_no_other_version(monkeypatch):
    scorer = next(iter(made().result.tasks.values())).scorer
    assert shipped(scorer) is not None
    monkeypatch.setitem(gather.VERSIONS, "agreement", 99)
    assert shipped(scorer) is None


def test_a_page_corrects_what_was_not(monkeypatch):
    found = made()
    plain = without_corrections(found.result)
    again = corrected(plain, found.samples)
    assert again == found.result
    assert value(made()).corrected is not None
    assert corrected(found.result, []) is found.result  # as it was corrected
