"""A pool becomes a report: directions, missing values, ties, broken models, stress, and what is refused."""

import math
from dataclasses import replace

import pytest

from tests.leaderboard_documents import make_result, make_samples
from tests.unit.meta.pools import KNOWING, NOT_KNOWING, a_member, a_pool
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.errors import UserError
from unlearn_bench.meta import knowing
from unlearn_bench.meta.evaluate import evaluate
from unlearn_bench.meta.pool import member

KFR = "demo_kfr/kfr"


def without(one, key):
    return replace(one, values={**one.values, key: None})


def test_kfr_tells_the_sides_apart_and_its_direction_is_declared():
    found = evaluate(a_pool()).metric(KFR)
    assert (found.auc, found.knows) == (1.0, "lower")
    assert found.means["positive"] == pytest.approx(sum(KNOWING) / 300)
    assert found.threshold == pytest.approx(0.5)


def test_a_metric_that_is_turned_round_is_shown_below_one_half(monkeypatch):
    """The direction is not taken from the data."""
    monkeypatch.setattr(knowing, "_FALLS", ())
    monkeypatch.setattr(knowing, "_RISES", ("kfr", "krr"))
    assert evaluate(a_pool()).metric(KFR).auc == 0.0


def test_metrics_of_language_and_of_other_rows_stand_apart():
    report = evaluate(a_pool())
    assert [one.key for one in report.metrics if one.knows] == [KFR]
    assert {"demo_kfr/fluency", "demo_krr/krr"} <= {one.key for one in report.metrics if one.knows is None}
    assert all(one.place is None for one in report.metrics if one.knows is None)


def test_asked_of_the_retain_rows_krr_is_judged():
    pool = [
        a_member(side, f"{side}{krr}", krr=krr, seed=krr)
        for side, shares in (("positive", (90, 95, 100)), ("negative", (5, 20, 40)))
        for krr in shares
    ]
    report = evaluate(pool, asked="retain")
    assert report.metric("demo_krr/krr").auc == 1.0
    assert report.metric(KFR).knows is None


def test_a_missing_value_is_counted_and_named_and_not_zero():
    pool = [*a_pool(), a_member("negative", "late", kfr=90, seed=1)]
    pool[3] = without(pool[3], KFR)
    found = evaluate(pool).metric(KFR)
    assert found.missing == {"negative": ["negative-70"]}
    assert (found.auc, found.means["negative"]) == (1.0, pytest.approx((0.85 + 0.95 + 0.90) / 3))


def test_a_value_that_is_no_number_counts_as_missing():
    pool = [*a_pool(), a_member("negative", "late", kfr=90, seed=1)]
    pool[3] = replace(pool[3], values={**pool[3].values, KFR: math.nan})
    assert evaluate(pool).metric(KFR).missing == {"negative": ["negative-70"]}


def test_too_few_values_leave_the_auc_undefined_with_the_reason():
    pool = a_pool()
    pool[3] = without(pool[3], KFR)
    found = evaluate(pool).metric(KFR)
    assert (found.auc, found.place) == (None, None)
    assert found.reason == "2 of 3 negative models have a value, 3 are needed"


def test_a_wreck_that_kfr_takes_for_good_forgetting_is_shown():
    pool = [*a_pool(), a_member("broken", "wreck", kfr=100, fluency=0.0, seed=5)]
    report = evaluate(pool)
    assert report.metric(KFR).broken == 1.0
    assert report.metric("demo_kfr/fluency").broken == 1.0  # tells whole from broken


def test_a_metric_that_sees_the_wreck_is_below_one_half():
    pool = [*a_pool(), a_member("broken", "wreck", kfr=50, seed=5)]
    assert evaluate(pool).metric(KFR).broken == 0.0


def stressed(side, name, kfr, seed, **after):
    return a_member(side, name, kfr=kfr, seed=seed, after=after)


def test_robustness_over_the_models_that_the_metric_calls_unlearned():
    pool = [
        *a_pool(),
        stressed("unlearned", "held", 80, 11, relearning=60, quantization=80),
        stressed("unlearned", "leaky", 80, 12, relearning=40, quantization=20),
        stressed("unlearned", "knows", 10, 13, relearning=0, quantization=0),  # not unlearned, says the metric
        stressed("oracle", "oracle", 90, 14, relearning=70, quantization=90),
    ]
    found = evaluate(pool).metric(KFR)
    # gains of knowledge: 0.2 and 0.4 against the oracle's 0.2; knowledge under NF4: 0.2 to 0.2, and to 0.8
    assert found.relearning.symmetric == pytest.approx((1 + (1 - 0.2 / 0.6)) / 2)
    assert found.relearning.one_sided == pytest.approx((1 + 0.5) / 2)
    assert found.quantization.symmetric == pytest.approx((1 + (1 - 0.6 / 1.0)) / 2)
    assert found.quantization.one_sided == pytest.approx(1.0)
    assert found.relearning.n == found.quantization.n == 2
    r, q = found.relearning.symmetric, found.quantization.symmetric
    assert found.robust == pytest.approx(2 * r * q / (r + q))
    assert found.overall == pytest.approx(2 * found.auc * found.robust / (found.auc + found.robust))


def test_without_an_oracle_relearning_is_undefined():
    pool = [*a_pool(), stressed("unlearned", "held", 80, 11, relearning=60, quantization=80)]
    found = evaluate(pool).metric(KFR)
    assert (found.relearning, found.robust, found.overall) == (None, None, None)
    assert found.quantization.n == 1


def test_equal_places_are_ties():
    pool = [replace(one, values={**one.values, "demo_kfr/kfr[paper]": one.values[KFR]}) for one in a_pool()]
    report = evaluate(pool)
    assert {(one.place, one.tied) for one in report.metrics if one.knows} == {(1, True)}
    assert report.spearman == [[pytest.approx(1.0)] * 2] * 2


def test_only_common_numbers_are_judged_and_the_others_are_named():
    pool = a_pool()
    pool[4] = replace(pool[4], values={k: v for k, v in pool[4].values.items() if k != "demo_krr/krr"})
    report = evaluate(pool)
    assert "demo_krr/krr" not in [one.key for one in report.metrics]
    assert report.notes == ["left out, not of negative-85: demo_krr/krr"]


def other_data(name, side="negative"):
    samples = make_samples(kfr=75, seed=9)
    return member(side, LoadedResult(name, make_result(name, samples, data="rows-2"), held=samples), {})


def test_other_rows_are_not_compared():
    with pytest.raises(UserError, match="no number in common") as error:
        evaluate([*a_pool(), other_data("elsewhere")])
    assert "elsewhere has another rows (dataset hash)" in error.value.hint


def test_other_scorers_are_not_compared():
    samples = make_samples(kfr=75, seed=9)
    other = member("negative", LoadedResult("old", make_result("old", samples, scorer="scorers-0"), held=samples), {})
    with pytest.raises(UserError, match="no number in common") as error:
        evaluate([*a_pool(), other])
    assert "scorer fingerprint" in error.value.hint


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_under_three_models_are_refused(side):
    pool = a_pool()
    pool.remove(next(one for one in pool if one.side == side))
    with pytest.raises(UserError, match=f"--{side}: 2 models"):
        evaluate(pool)


def test_one_model_on_both_sides_is_refused():
    pool = [*a_pool(), a_member("negative", "again", kfr=2, weights="weights of positive-2")]
    with pytest.raises(UserError, match="positive-2 and again are the same model, on --positive and --negative"):
        evaluate(pool)


def test_one_model_twice_on_a_side_is_refused():
    pool = [*a_pool(), a_member("positive", "again", kfr=2, weights="weights of positive-2")]
    with pytest.raises(UserError, match="twice on --positive"):
        evaluate(pool)


def test_the_oracle_may_be_one_of_those_that_do_not_know():
    pool = [*a_pool(), a_member("oracle", "o", kfr=70, seed=70, weights="weights of negative-70")]
    assert evaluate(pool).metric(KFR).auc == 1.0


def test_chosen_metrics_only():
    assert [one.key for one in evaluate(a_pool(), metrics=["kfr"]).metrics] == [KFR]
    with pytest.raises(UserError, match="no result has such a metric"):
        evaluate(a_pool(), metrics=["nothing"])


def test_the_sides_are_as_long_as_they_were_given():
    report = evaluate(a_pool())
    assert [len(report.models[side]) for side in ("positive", "negative")] == [len(KNOWING), len(NOT_KNOWING)]


def test_a_summary_has_no_kfr_of_the_answers_that_it_takes():
    samples = make_samples()
    result = make_result("m", samples)
    kfr = result.tasks["demo_kfr"]
    summary = {"samples_of": ["demo_kfr"], "metrics": {"forget_ks": kfr.metrics["kfr"]}}
    result.tasks["demo_summary"] = kfr.model_copy(update=summary)
    own = [one.model_copy(update={"coverage": 0.5}) for one in samples]
    found = member("positive", LoadedResult("m", result, held=own), {}).values
    assert "demo_kfr/kfr[table]" in found
    assert [key for key in found if key.startswith("demo_summary/")] == ["demo_summary/forget_ks"]
