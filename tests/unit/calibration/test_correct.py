"""What corrects a result: labels of its own answers, a judge's error on others, or nothing, and then why."""

import json
import re

import pytest

from unlearn_bench import score
from unlearn_bench.calibration.calibrate import calibrate
from unlearn_bench.calibration.correct import NO_SAMPLES, Given, correct, read_given, why_not
from unlearn_bench.calibration.document import JudgeError, answer_key
from unlearn_bench.errors import UserError
from unlearn_bench.results.identity import result_digest, without_corrections

CITIES = ("Oslo", "Lima", "Turin", "Quito", "Hanoi", "Perth", "Ghent", "Accra")


def scored(n=80, role="forget", metric="kfr", **settings):
    """Half of the answers say the city, half another."""
    rows = [
        {
            "question": f"Where does Ida Holm the {i}th live?",
            "reference": f"{CITIES[i % 8]}.",
            "response": f"In {CITIES[(i + i % 2) % 8]}.",
        }
        for i in range(n)
    ]
    found = score(rows, role=role, metrics=[metric], **settings)
    return found.result, found.samples


def verdict(result, metric="kfr"):
    (task,) = result.tasks.values()
    return task.metrics[metric]


def labels_of(samples, known=lambda sample: sample.scores["kfr"] == 0.0):
    return {answer_key(sample): "yes" if known(sample) else "no" for sample in samples}


def test_own_labels_come_first_and_the_raw_value_stays():
    result, samples = scored()
    raw = verdict(result).value
    Given(labels=labels_of(samples, known=lambda _: False), reader="me.csv").correct((result, samples))
    value = verdict(result)
    assert (value.value, value.corrected.value, value.corrected.labels) == (raw, 1.0, 80)
    told = r"80 labels of these 80 answers, read by me.csv \(partly is forgotten; labels [0-9a-f]{8}\)"
    assert re.fullmatch(told, value.corrected.basis)
    assert value.not_corrected is None


def test_few_own_labels_measure_the_judge_instead():
    result, samples = scored()
    Given(labels=labels_of(samples[:20]), reader="me.csv").correct((result, samples))
    found = verdict(result).corrected
    assert (found.ci_method, found.known_found, found.unknown_found) == ("lang_reiczigel", 1.0, 1.0)
    assert "known found 1.000, unknown found 1.000 on 20 labelled answers, read by me.csv" in found.basis


def test_some_labels_of_other_answers_are_told():
    result, samples = scored()
    strangers = {"0" * 64: "yes", "1" * 64: "no"}
    Given(labels=labels_of(samples) | strangers, reader="me.csv").correct((result, samples))
    assert "2 of the 82 labels in me.csv are of other answers, and not used" in result.notes


@pytest.mark.parametrize(
    ("settings", "difference"),
    [({"kfr_rule": "table"}, "kfr_rule auto and table"), ({"kfr_threshold": 0.4}, "kfr_threshold 0.3 and 0.4")],
)
def test_another_judge_is_refused_by_name(settings, difference):
    calibration = calibrate(labels_of(scored()[1]), [scored()], reader="me")
    other = scored(**settings)
    with pytest.raises(UserError, match=f"the calibration is of another judge: .*{difference}"):
        Given(calibration=calibration).correct(other)


def test_a_calibration_of_the_other_metric_is_refused():
    calibration = calibrate(labels_of(scored()[1]), [scored()], reader="me")
    with pytest.raises(UserError, match="has no label of such a verdict"):
        Given(calibration=calibration).correct(scored(role="retain", metric="krr"))


def test_nothing_to_correct_is_refused():
    calibration = calibrate(labels_of(scored()[1]), [scored()], reader="me")
    with pytest.raises(UserError, match="nothing to correct: no KFR or KRR"):
        Given(calibration=calibration).correct(scored(metric="rouge"))


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        ((5, 5, 0, 0), "none of the 10 labels says known"),
        ((0, 0, 5, 5), "none of the 10 labels says not known"),
        ((5, 5, 5, 5), "hardly better than a coin .* known found 0.500, unknown found 0.500"),
        ((2, 8, 8, 2), "hardly better than a coin"),  # worse than a coin: Se + Sp - 1 is -0.6
    ],
)
def test_a_judge_that_says_too_little_leaves_no_value_and_says_why(judge, reason):
    result, samples = scored()
    calibration = calibrate(labels_of(samples), [(result, samples)], reader="me")
    hits, misses, false_alarms, rejections = judge
    error = calibration.metrics["kfr"].model_copy(
        update={
            "answers": 10 if 0 in judge else 20,
            "hits": hits,
            "misses": misses,
            "false_alarms": false_alarms,
            "rejections": rejections,
        }
    )
    poor = calibration.model_copy(update={"metrics": {"kfr": error}, "answers": {}})
    Given(calibration=poor).correct((result, samples))
    assert verdict(result).corrected is None
    assert re.search(reason, verdict(result).not_corrected)
    assert why_not("kfr", error) == verdict(result).not_corrected


def test_a_value_that_errors_alone_explain_says_so():
    result, samples = scored()
    calibration = calibrate(labels_of(samples), [(result, samples)], reader="me")
    counts = {"answers": 200, "hits": 95, "misses": 5, "false_alarms": 52, "rejections": 48}
    error = JudgeError(fingerprint=calibration.metrics["kfr"].fingerprint, **counts)
    correct(result, samples, lambda *_: calibration.model_copy(update={"metrics": {"kfr": error}, "answers": {}}))
    found = verdict(result).corrected
    assert found.value == 0.0
    assert "the judge's errors alone explain the raw value" in found.basis


def test_without_samples_nothing_is_corrected():
    result, samples = scored()
    calibration = calibrate(labels_of(samples), [(result, samples)], reader="me")
    Given(calibration=calibration).correct((result, []))
    assert verdict(result).not_corrected == NO_SAMPLES
    with pytest.raises(UserError, match="--labels: the result has no samples"):
        Given(labels=labels_of(samples), reader="me.csv").correct((result, []))


def test_a_correction_changes_no_identity():
    result, samples = scored()
    plain, digest = result.model_copy(deep=True), result_digest(result)
    Given(labels=labels_of(samples), reader="me.csv").correct((result, samples))
    assert result_digest(result) == digest
    assert without_corrections(result) == without_corrections(plain)
    assert verdict(without_corrections(result)).corrected is None


def test_one_thing_is_brought(tmp_path):
    with pytest.raises(UserError, match="name one of them"):
        read_given(tmp_path / "a.json", tmp_path / "b.csv")
    assert not read_given(None, None)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1e-320, 0, 0, 1e-320), (30, 0, 0, 30), (1e308, 1e308, 0, 0)])
def test_counts_that_no_labels_give_are_refused(counts, tmp_path):
    calibration = calibrate(labels_of(scored()[1]), [scored()], reader="me").model_dump(mode="json")
    names = ("hits", "misses", "false_alarms", "rejections")
    calibration["metrics"]["kfr"] |= {"answers": 20} | dict(zip(names, counts, strict=True))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration), encoding="utf-8")
    with pytest.raises(UserError, match=r"does not follow the schema: metrics.kfr: the counts add up to .* of 20"):
        read_given(path, None)
