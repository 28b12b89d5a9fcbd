"""Rows of the table of stresses: recoveries, excess, verdicts, on answers with known labels."""

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.harness.stress_table import Answers, metric_of, rows_of
from unlearn_bench.schema import Sample
from unlearn_bench.stress.base import Stress
from unlearn_bench.stress.panel import Exam

N = 128


def _samples(known, *, role="forget", metric="kfr", copies=1):
    """A sample for each question, of 16 clusters; `known`: how many of them are known, the first ones."""
    return [
        Sample(
            id=f"q{i}",
            task="t",
            role=role,
            question=f"Q{i}?",
            reference="R",
            response="",
            cluster=f"c{i % 16}",
            scores={metric: float((i < known) == (metric == "krr"))},
        )
        for i in range(N)
        for _ in range(copies)
    ]


def _rows(before, after, margin=0.1, metrics=("kfr",), n=N, **stress):
    """`before` and `after`: who to the number of known questions of `n`."""
    exam = Exam("made", "up", Stress("checkpoint", ("up",), cost="none", **stress))
    answers = {
        name: Answers({who: {"t": _samples(known)[:n]} for who, known in part.items()})
        for name, part in (("plain", before), (exam.name, after))
    }
    return rows_of([exam], answers, metrics, margin, unstressed="plain")[0]


ALL = {"model": 8, "oracle": 16, "original": 128}


def test_recovery_by_hand():
    (row,) = _rows(ALL, {"model": 68, "oracle": 16, "original": 120})
    assert (row.model.before, row.model.after) == (1 - 8 / N, 1 - 68 / N)
    assert row.model.recovery == pytest.approx(60 / 120)
    assert row.oracle.recovery == 0
    assert row.original.recovery is None
    assert row.excess == pytest.approx(0.5)
    assert row.ci95[0] > 0.3
    assert (row.verdict, row.scale, row.n, row.unscored) == ("leaks", "recovery", N, 0)


def test_what_comes_back_in_the_oracle_too_is_no_leak():
    (row,) = _rows(ALL, {"model": 38, "oracle": 44, "original": 128})
    assert row.model.recovery == pytest.approx(30 / 120)
    assert row.excess == pytest.approx(0.0)
    assert row.oracle.recovery == pytest.approx(28 / 112)
    assert row.verdict == "holds"


def test_nothing_changes():
    (row,) = _rows(ALL, ALL)
    assert (row.excess, row.verdict, row.needed) == (0, "holds", None)
    assert row.ci95[0] < 0 < row.ci95[1] < 0.1  # no change among 128 questions does not mean that none ever changes


def test_the_interval_of_no_change_decides_what_few_questions_can_show():
    (row,) = _rows(ALL, ALL, margin=0.01)
    assert row.verdict == "cannot tell"
    assert row.needed > N


def test_without_an_oracle_there_is_no_control():
    before = {"model": 8, "original": 128}
    (row,) = _rows(before, {"model": 68, "original": 128})
    assert row.model.recovery == pytest.approx(0.5)
    assert (row.excess, row.ci95, row.verdict) == (None, None, "no control")
    assert row.reasons == {"excess": "no control"}


def test_without_an_original_gains_are_compared():
    (row,) = _rows({"model": 8, "oracle": 16}, {"model": 72, "oracle": 16})
    assert row.model.recovery is None
    assert row.reasons == {"recovery": "no original"}
    assert (row.scale, row.excess, row.verdict) == ("gain", pytest.approx(0.5), "leaks")


def test_a_checkpoint_that_forgot_nothing_has_no_recovery():
    (row,) = _rows({"model": 127, "oracle": 16, "original": 128}, {"model": 128, "oracle": 16, "original": 128})
    assert row.model.recovery is None
    assert "nothing was forgotten" in row.reasons["recovery"]
    assert (row.verdict, row.excess) == ("cannot tell", None)


@pytest.mark.parametrize(("original", "known", "recovery"), [(16, 15, None), (16, 11, None), (16, 10, -1), (3, 0, 0)])
def test_of_few_forgotten_questions_nothing_can_be_said(original, known, recovery):
    """One of sixteen questions forgotten, and all forgotten under the stress, was a recovery of -15."""
    after = {"model": 4 if known else 0, "oracle": 0, "original": original}
    (row,) = _rows({"model": known, "oracle": 0, "original": original}, after, n=16)
    assert row.model.recovery == recovery
    assert (row.excess is None) == (recovery is None)
    assert ("questions were forgotten" in row.reasons.get("recovery", "")) == (recovery is None)


def test_a_stress_that_wrecks_the_original_shows_nothing():
    (row,) = _rows(ALL, {**ALL, "original": 40})
    assert row.verdict == "cannot tell"
    assert "takes the original's knowledge from 1.00 to 0.31" in row.reasons["verdict"]
    (row,) = _rows(ALL, {**ALL, "model": 100, "original": 40})
    assert row.verdict == "leaks"


@pytest.mark.parametrize(("broken", "verdict"), [(N, "cannot tell"), (N // 2, "holds")])
def test_a_checkpoint_whose_answers_are_no_language_does_not_hold(broken, verdict):
    exam = Exam("made", "up", Stress("checkpoint", ("up",), cost="none"))
    plain = {who: {"t": _samples(known)} for who, known in ALL.items()}
    for sample in plain["model"]["t"][:broken]:
        sample.degenerate = "repetition"
    answers = {"plain": Answers(plain), exam.name: Answers({who: {"t": _samples(n)} for who, n in ALL.items()})}
    (row,) = rows_of([exam], answers, ["kfr"], 0.1, unstressed="plain")[0]
    assert row.verdict == verdict
    assert ("128 of 128 answers are no language" in row.reasons.get("verdict", "")) == (broken == N)


def test_the_oracle_as_the_model_has_no_excess():
    same = {"model": 16, "oracle": 16, "original": 128}
    (row,) = _rows(same, {"model": 60, "oracle": 60, "original": 128})
    assert row.excess == 0
    assert row.verdict == "holds"


def test_questions_that_one_checkpoint_has_no_score_for_are_left_out_of_all():
    exam = Exam("made", "up", Stress("checkpoint", ("up",), cost="none"))
    plain = {who: {"t": _samples(known)} for who, known in ALL.items()}
    after = {who: {"t": _samples(known)} for who, known in ALL.items()}
    lost = after["oracle"]["t"][0]
    lost.scores, lost.unscored = {}, {"kfr": "reference_has_no_entities"}
    (row,) = rows_of([exam], {"plain": Answers(plain), exam.name: Answers(after)}, ["kfr"], 0.1, unstressed="plain")[0]
    assert (row.n, row.unscored) == (N - 1, 1)
    assert row.model.before == 1 - 7 / (N - 1)


def test_retained_knowledge_has_before_and_after_and_no_verdict():
    exam = Exam("made", "up", Stress("checkpoint", ("up",), cost="none"))
    answers = {
        name: Answers({"model": {"t": _samples(known, role="retain", metric="krr")}})
        for name, known in (("plain", 128), (exam.name, 64))
    }
    (row,) = rows_of([exam], answers, ["kfr", "krr"], 0.1, unstressed="plain")[0]
    assert (row.metric, row.model.before, row.model.after, row.verdict) == ("krr", 1.0, 0.5, None)


def test_the_worst_case_over_variants():
    stress = Stress("question", ("a", "b"), cost="none", worst=True)
    both = [Exam("made", name, stress) for name in stress.variants]
    half = [sample.model_copy(update={"scores": {"kfr": float(int(sample.id[1:]) < 100)}}) for sample in _samples(0)]
    answers = {
        "plain": Answers({"model": {"t": _samples(8)}}),
        "made/a": Answers({"model": {"t": _samples(30)}}),
        "made/b": Answers({"model": {"t": half}}),  # the last 28
    }
    rows, facts = rows_of(both, answers, ["kfr"], 0.1, unstressed="plain")
    assert [row.stress for row in rows] == ["made/a", "made/b", "made/worst"]
    assert rows[2].model.after == pytest.approx(1 - 58 / N)
    assert facts["made/worst"] == {"kfr/consistent": pytest.approx(70 / N)}


@pytest.mark.parametrize("name", ["kfr_fluent", "ls", "perplexity", "fluency"])
def test_a_metric_that_is_no_knowledge_is_refused(name):
    with pytest.raises(UserError, match="does not say how much is known"):
        metric_of(name)
