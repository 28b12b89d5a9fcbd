"""The gate: verdicts for the right reason, calibration on equal models, power at the printed drop."""

import dataclasses
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.leaderboard_documents import digest, make_board, make_result, make_samples, write_board, write_run
from unlearn_bench import stats
from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _paired, check_output
from unlearn_bench.leaderboard._subject import Subject, load
from unlearn_bench.leaderboard.check import CheckReport, MetricVerdict, check
from unlearn_bench.leaderboard.gate import Gate, MetricGate, margin_of, read_gate
from unlearn_bench.leaderboard.submit import Claim, submit
from unlearn_bench.schema import MetricValue, Sample


def _check(tmp_path: Path, old: dict, new: dict, gate: Gate | None = None, **options: object) -> CheckReport:
    a = write_run(tmp_path / "old", "old", **old)
    b = write_run(tmp_path / "new", "new", **{**new, **options})
    return check(load(str(b)), load(str(a)), gate)


def _verdicts(report: CheckReport) -> dict[str, str]:
    return {m.key: m.verdict for m in report.metrics}


def test_a_clear_drop_is_a_regression_and_the_rest_passes(tmp_path: Path) -> None:
    report = _check(tmp_path, {"kfr": 90}, {"kfr": 60})
    (kfr,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
    assert (kfr.verdict, report.exit_code, report.verdict) == ("regress", 1, "regression")
    # 30 lost, none won: one-sided McNemar p = 2^-30, times at most four metrics under Holm
    assert kfr.p == pytest.approx(4 * 0.5**30)
    assert kfr.method == "mcnemar_exact"
    assert len(kfr.flips) == 30
    assert not any(flip.better for flip in kfr.flips)
    assert _verdicts(report)["demo_krr/krr"] == "pass"
    assert 0.05 < kfr.detectable < 0.3


def test_a_rise_or_a_drop_within_the_margin_passes(tmp_path: Path) -> None:
    report = _check(tmp_path, {"kfr": 90}, {"kfr": 99})
    assert report.exit_code == 0
    significant = _check(tmp_path / "b", {"kfr": 400, "n": 400, "krr": 400}, {"kfr": 386, "n": 400, "krr": 400})
    (kfr,) = [m for m in significant.metrics if m.key == "demo_kfr/kfr"]
    assert kfr.p < 0.001  # 14 lost, none won: clearly worse, and not by more than 0.05 (3.5 %, up to 5.3 %)
    assert kfr.verdict in ("pass", "inconclusive")
    wide = _check(tmp_path / "c", {"kfr": 90}, {"kfr": 84}, Gate(default=MetricGate(margin=0.15)))
    assert _verdicts(wide)["demo_kfr/kfr"] == "pass"


def test_a_small_drop_on_few_questions_is_inconclusive_and_says_what_it_needs(tmp_path: Path) -> None:
    old, new = {"kfr": 18, "krr": 20, "n": 20}, {"kfr": 16, "krr": 20, "n": 20}
    report = _check(tmp_path, old, new)
    (kfr,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
    assert kfr.verdict == "inconclusive"
    assert kfr.detectable > 0.2
    # 2 of 20 lost; the planning error is sqrt(3 / 20 / 20), by the rule of three, and larger than the observed one. To
    # show a drop of 0.1 at 0.025 / 4 tests with 80 % takes more than to show that it is beyond the margin.
    assert kfr.needed == math.ceil(20 * (math.sqrt(0.15 / 20) * (2.497705 + 0.841621) / 0.1) ** 2)
    assert report.exit_code == 0
    assert _check(tmp_path / "b", old, new, Gate(inconclusive="fail")).exit_code == 1
    assert "if +0.100 is the true drop, about 168 questions would decide" in "\n".join(check_output.text_lines(report))


def test_what_is_needed_is_more_than_there_is() -> None:
    """Seen on nano: a gate that had asked 128 questions said that 65 would do."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        old, new = (rng.random((2, 100)) < 0.9).astype(float)
        found = _paired.paired(old, new, None, proportion=True, higher_is_better=True)
        undecided = found.low < -0.05 and not (found.p_worse <= 0.025 and found.difference < -0.05)
        needed = _paired.needed(found, 0.05, 0.025, 0.8)
        assert not undecided or needed is None or needed > 100
    assert _paired.needed(dataclasses.replace(found, difference=-0.05), 0.05, 0.025, 0.8) is None


def test_two_clusters_cannot_fail_and_the_report_says_so(tmp_path: Path) -> None:
    figures = {"n": 10, "krr": 10, "clustered": True}  # five questions a person: two people
    report = _check(tmp_path, {"kfr": 10, **figures}, {"kfr": 0, **figures})
    (kfr,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
    assert (kfr.method, kfr.units, kfr.detectable, kfr.verdict) == ("cluster_sign_flip", 2, None, "inconclusive")
    assert kfr.p >= 0.25  # 2^-2 is the least that two clusters can show
    assert "this gate cannot fail here" in "\n".join(check_output.text_lines(report))


def test_floors_hold_whatever_the_baseline(tmp_path: Path) -> None:
    gate = Gate(metrics={"demo_kfr/kfr": MetricGate(floor=0.8), "demo_krr/krr": MetricGate(floor=0.9)})
    report = _check(tmp_path, {"kfr": 79, "krr": 90}, {"kfr": 79, "krr": 90}, gate)
    assert _verdicts(report) == {
        "demo_kfr/kfr": "regress",
        "demo_krr/krr": "pass",
        "demo_kfr/fluency": "info",
        "demo_krr/fluency": "info",
    }
    assert "floor of 0.8" in next(m.reason for m in report.metrics if m.verdict == "regress")
    strict = Gate(metrics={"demo_krr/krr": MetricGate(floor=0.9, floor_on="interval")})
    assert _check(tmp_path / "b", {}, {}, strict).exit_code == 1  # Wilson's lower end of 90/100 is 0.826


def test_an_undefined_value_never_passes(tmp_path: Path) -> None:
    write_run(tmp_path / "old", "old")
    path = write_run(tmp_path / "new", "new", weights="other")
    document = json.loads(path.read_text())
    document["tasks"]["demo_kfr"]["metrics"]["kfr"] = {
        "value": None, "n": 0, "unscored": 100, "unscored_reasons": {"no_coverage": 100}, "higher_is_better": True,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    report = check(load(str(path)), load(str(tmp_path / "old")))
    assert _verdicts(report)["demo_kfr/kfr"] == "regress"


@pytest.mark.parametrize("change", [{"scorer": "other"}, {"data": "other"}, {"version": "2.0"}, {"n": 50, "krr": 45}])
def test_unlike_results_are_refused_with_the_reason(tmp_path: Path, change: dict) -> None:
    what = {"scorer": "scorer fingerprint", "data": "dataset hash", "version": "version", "n": "number of questions"}
    with pytest.raises(UserError) as refused:
        _check(tmp_path, {"kfr": 40}, {"kfr": 40}, **change)
    assert what[next(iter(change))] in str(refused.value)


def test_metrics_that_went_missing_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "old", "old")
    path = write_run(tmp_path / "new", "new")
    document = json.loads(path.read_text())
    del document["tasks"]["demo_krr"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="lacks 2 metrics of the baseline"):
        check(load(str(path)), load(str(tmp_path / "old")))
    gate = Gate(metrics={"demo_krr/*": MetricGate(ignore=True), "demo_kfr/kfr": MetricGate()})
    assert check(load(str(path)), load(str(tmp_path / "old")), gate).exit_code == 0


def test_the_same_model_must_answer_the_same(tmp_path: Path) -> None:
    same = {"weights": "same"}
    assert _check(tmp_path / "a", same, same).identical
    samples = make_samples()
    samples[3] = samples[3].model_copy(update={"response": samples[3].response + " Or so."})
    report = _check(tmp_path / "b", same, {**same, "samples": samples})
    assert (report.drift.changed, report.drift.compared, report.exit_code, report.verdict) == (1, 200, 2, "drift")
    assert "environment drifted" in check_output.drift_line(report)
    assert _check(tmp_path / "c", same, {**same, "samples": samples}, Gate(drift="warn")).exit_code == 0
    other = _check(tmp_path / "d", {"weights": "a"}, {"weights": "b", "samples": samples})
    assert other.drift is None  # another model may answer otherwise


def test_without_samples_intervals_are_compared(tmp_path: Path) -> None:
    board = write_board(tmp_path / "demo.json", make_board())
    write_run(tmp_path / "old", "old", kfr=90)
    (tmp_path / "old" / "samples.jsonl").unlink()
    submit(tmp_path / "old", board, Claim("base line"))
    for kfr, expected in ((60, "regress"), (82, "inconclusive"), (90, "inconclusive")):
        path = write_run(tmp_path / str(kfr), "new", kfr=kfr)
        report = check(load(str(path)), load(f"{board}#base line"))
        (found,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
        assert (found.verdict, found.method) == (expected, "intervals")
        assert "demo_krr/fluency" in {m.key for m in report.metrics if m.verdict == "info"}  # not on the board
    with pytest.raises(UserError, match="did you mean base line"):
        load(f"{board}#base lin")


def test_unpaired_interval_is_newcombes(tmp_path: Path) -> None:
    """Newcombe (1998, Statistics in Medicine 17:873), method 10, example (a): 56/70 - 48/80 is 0.0524 to 0.3339."""
    old = MetricValue(value=48 / 80, ci95=stats.wilson(48, 80)[:2], n=80, higher_is_better=True)
    new = MetricValue(value=56 / 70, ci95=stats.wilson(56, 70)[:2], n=70, higher_is_better=True)
    found = _paired.unpaired(old, new, higher_is_better=True)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    flipped = _paired.unpaired(old, new, higher_is_better=False)
    assert (round(-flipped.high, 4), round(-flipped.low, 4)) == (0.0524, 0.3339)


def _models(rng: np.random.Generator, n: int, clusters: int, drop: float) -> tuple[np.ndarray, np.ndarray]:
    """0/1 outcomes of two models of equal skill on questions of unequal difficulty; each model has its own strengths by
    cluster (intraclass correlation of the difference about 0.3 at 20 clusters); then `drop` of the answers are lost.
    """

    def model() -> np.ndarray:
        own = np.repeat(rng.normal(0, 1.3, clusters), n // clusters) if clusters else 0.0
        return rng.random(n) < 1 / (1 + np.exp(-(1.5 + difficulty + own)))

    difficulty = rng.normal(0, 1.5, n)
    old, new = model(), model()
    right = rng.permutation(np.flatnonzero(new))
    new[right[: rng.binomial(n, drop)]] = False
    return old.astype(float), new.astype(float)


AXES = ("demo_kfr/kfr", "demo_krr/krr", "demo_kfr/fluency")


def _subjects(rng: np.random.Generator, n: int, clusters: int, drop: float) -> tuple[Subject, Subject]:
    """An old and a new model with KFR, KRR and fluency of n questions; KFR drops by `drop`, the others by nothing."""
    names = np.repeat(np.arange(clusters), n // clusters) if clusters else None
    kfr, krr, base = _models(rng, n, clusters, drop), _models(rng, n, clusters, 0.0), _models(rng, n, clusters, 0.0)
    found = []
    for side, name in enumerate(("old", "new")):
        fluency = np.clip(0.5 + 0.3 * base[side] + rng.normal(0, 0.1, n), 0, 1)
        samples = [
            Sample.model_construct(
                id=f"{task}-{i}", task=task, question="?", reference=".", response=f"{name} {value}", scores=scores,
                cluster=None if names is None else str(names[i]),
            )
            for task, metric, values in (("demo_kfr", "kfr", kfr[side]), ("demo_krr", "krr", krr[side]))
            for i, value in enumerate(values)
            for scores in [{metric: value} | ({"fluency": fluency[i]} if metric == "kfr" else {})]
        ]  # fmt: skip
        result = TEMPLATE.model_copy(deep=True)
        result.model.weights_sha256 = digest(name)
        for task, metric, values in (("demo_kfr", "kfr", kfr[side]), ("demo_krr", "krr", krr[side]),
                                     ("demo_kfr", "fluency", fluency)):  # fmt: skip
            result.tasks[task].metrics[metric].value = float(values.mean())
        del result.tasks["demo_krr"].metrics["fluency"]
        subject = Subject(name, result)
        subject.__dict__["samples"] = samples  # as if read from a file
        found.append(subject)
    return found[0], found[1]


TEMPLATE = make_result()


@pytest.mark.parametrize(("n", "clusters"), [(100, 0), (200, 20)])
def test_equal_models_are_called_regressions_in_at_most_5_percent_of_pairs(n: int, clusters: int) -> None:
    """The whole gate over three metrics (two of labels, one of values), Holm over them, the default margin.

    1,000 pairs in all: 500 of single questions, 500 of clustered ones.
    """
    rng = np.random.default_rng(0)
    reports = [check(new, old) for old, new in (_subjects(rng, n, clusters, drop=0.0) for _ in range(500))]
    assert all({m.key for m in report.metrics} == set(AXES) for report in reports)
    alarms = sum(report.exit_code for report in reports)
    assert alarms <= 25
    assert alarms >= 2  # a test that never alarms would be no test


@pytest.mark.parametrize(("n", "clusters"), [(100, 0), (200, 20)])
def test_the_printed_drop_is_found_in_at_least_80_percent(n: int, clusters: int) -> None:
    rng = np.random.default_rng(1)

    def kfr(drop: float) -> MetricVerdict:
        old, new = _subjects(rng, n, clusters, drop)
        return next(m for m in check(new, old).metrics if m.key == "demo_kfr/kfr")

    printed = float(np.mean([kfr(0.0).detectable for _ in range(30)]))
    assert sum(kfr(printed).verdict == "regress" for _ in range(200)) >= 160
    assert printed < 0.3  # and it is no drop that anybody would see without a test (here 20 clusters, three metrics)


def test_sign_flip_is_mcnemar_where_clusters_are_single_questions() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        old, new = rng.integers(0, 2, (2, 12)).astype(float)
        exact = _paired.paired(old, new, None, proportion=True, higher_is_better=True)
        flipped = _paired.paired(old, new, [str(i) for i in range(12)], proportion=True, higher_is_better=True)
        assert flipped.p_worse == pytest.approx(exact.p_worse)
        assert flipped.p_two_sided == pytest.approx(exact.p_two_sided)
        assert exact.p_two_sided == pytest.approx(stats.mcnemar(old, new).p_value)


def test_lower_is_better_is_turned(tmp_path: Path) -> None:
    found = _paired.paired([0.0] * 40, [1.0] * 40, None, proportion=True, higher_is_better=False)
    assert found.difference == -1
    assert found.p_worse == pytest.approx(0.5**40)


def test_gate_file_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(
        "alpha: 0.01\nmetrics:\n  demo_kfr/kfr: {margin: 0.02, floor: 0.8}\n  '*/fluency': {ignore: true}\n"
    )
    gate = read_gate(path)
    assert gate.rule("demo_kfr/kfr").floor == 0.8
    assert gate.rule("x/fluency").ignore
    assert gate.rule("x/y") is gate.default
    for text, reason in (
        ("alpha: 2", "alpha"),
        ("metrics: {kfr: {}}", "task/metric"),
        ("metrics: {a/b: {margin: .nan}}", "finite"),
        ("metrics: {a/b: {margin: -1}}", "greater than"),
        ("metrics: {a/b: {margins: 1}}", "Extra inputs"),
        ("alpha: 0.05\nalpha: 0.1", "given twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[", "not YAML"),
        ("- 1", "dictionary|mapping|valid"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=reason):
            read_gate(path)
    with pytest.raises(UserError, match="did you mean demo_kfr/kfr"):
        _check(tmp_path, {}, {}, Gate(metrics={"demo_kfr/kfrr": MetricGate()}))


def test_margins() -> None:
    assert margin_of(MetricGate(), 0.9, (0.0, 1.0)) == 0.05
    assert margin_of(MetricGate(), 40.0, (1.0, float("inf"))) == pytest.approx(4.0)
    assert margin_of(MetricGate(margin=0.0), 0.9, (0.0, 1.0)) == 0.0


HOSTILE = "::error title=x::pwned\n%0A<testcase/>\x1b[31m\u202e"


def test_outputs_say_the_same_and_survive_hostile_text(tmp_path: Path) -> None:
    def hostile(kfr: int) -> list[Sample]:
        return [s.model_copy(update={"question": HOSTILE, "response": HOSTILE + s.response}) for s in make_samples(kfr)]

    report = _check(tmp_path, {"samples": hostile(90)}, {"samples": hostile(60)})
    document = json.loads(check_output.to_json(report))
    assert (document["verdict"], document["exit_code"]) == ("regression", 1)
    flips = next(m for m in document["metrics"] if m["key"] == "demo_kfr/kfr")["flips"]
    assert (flips["worse"], flips["better"], len(flips["shown"])) == (30, 0, 10)

    suite = ElementTree.fromstring(check_output.to_junit(report))
    cases = {(c.get("classname"), c.get("name")): c for c in suite.iter("testcase")}
    assert set(cases) == {("demo_kfr", "kfr"), ("demo_krr", "krr"), ("demo_kfr", "fluency"), ("demo_krr", "fluency")}
    assert suite.get("failures") == "1"
    assert cases["demo_kfr", "kfr"].find("failure").get("message").startswith("dropped by 0.3")

    lines = check_output.to_github(report).splitlines()
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in lines)
    assert len([line for line in lines if line.startswith("::error")]) == 1
    every = "\n".join([*lines, *check_output.text_lines(report), check_output.to_junit(report)])
    assert "\x1b" not in every
    assert "\u202e" not in every
    assert "\n::error title=x" not in every
