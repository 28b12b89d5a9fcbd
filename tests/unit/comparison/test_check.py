"""The gate: verdicts for the right reason, calibration on equal models, power at the printed drop."""

import dataclasses
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.leaderboard_documents import digest, make_board, make_result, make_samples, write_board, write_run
from unlearn_bench.boards.lookup import load
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.comparison import output
from unlearn_bench.comparison.check import CheckReport, MetricVerdict, check
from unlearn_bench.comparison.gate import Gate, MetricGate, margin_of, read_gate
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.errors import UserError
from unlearn_bench.schema import ClusterInfo, MetricValue, Sample
from unlearn_bench.stats import intervals, paired, power


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
    # 30 lost, none won: one-sided McNemar p = 2^-30, of which KFR has 4 of 10 parts of alpha (two labels, two means),
    # and no other metric moved but its fluency
    assert kfr.p <= 10 / 4 * 0.5**30
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
    # show a drop of 0.1 at 0.025 * 4 / 10 (a label beside a label and two means) with 80 % takes more than to show that
    # it is beyond the margin.
    assert kfr.needed == math.ceil(20 * (math.sqrt(0.15 / 20) * (2.326348 + 0.841621) / 0.1) ** 2)
    assert report.exit_code == 0
    assert _check(tmp_path / "b", old, new, Gate(inconclusive="fail")).exit_code == 1
    assert "if -0.100 is the true difference, about 151 questions would decide" in "\n".join(output.text_lines(report))


def test_what_is_needed_is_more_than_there_is() -> None:
    """Seen on nano: a gate that had asked 128 questions said that 65 would do."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        old, new = (rng.random((2, 100)) < 0.9).astype(float)
        found = paired.paired(old, new, None, proportion=True, higher_is_better=True)
        undecided = found.low < -0.05 and not (found.p_worse <= 0.025 and found.difference < -0.05)
        needed = power.needed(found, 0.05, 0.025, 0.8)
        assert not undecided or needed is None or needed > 100
    assert power.needed(dataclasses.replace(found, difference=-0.05), 0.05, 0.025, 0.8) is None


def test_two_clusters_cannot_fail_and_the_report_says_so(tmp_path: Path) -> None:
    figures = {"n": 10, "krr": 10, "clustered": True}  # five questions a person: two people
    report = _check(tmp_path, {"kfr": 10, **figures}, {"kfr": 0, **figures})
    (kfr,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
    assert (kfr.units, kfr.detectable, kfr.verdict, report.exit_code) == (2, None, "undecided", 3)
    assert kfr.p >= 0.125  # 10 questions of two people count as 3: 2^-3 is the least that they can show
    assert "this gate cannot fail here" in "\n".join(output.text_lines(report))


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
    path = write_run(tmp_path / "new", "new", weights="other", samples=_unscored(make_samples(), 100))
    report = check(load(str(path)), load(str(tmp_path / "old")))
    assert (_verdicts(report)["demo_kfr/kfr"], report.exit_code) == ("regress", 1)
    assert "no_coverage 100" in next(m.reason for m in report.metrics if m.verdict == "regress")
    back = check(load(str(tmp_path / "old")), load(str(path)))  # the baseline has no value
    assert (_verdicts(back)["demo_kfr/kfr"], back.exit_code) == ("undecided", 3)
    both = check(load(str(path)), load(str(write_run(tmp_path / "b", "b", samples=_unscored(make_samples(), 100)))))
    assert (_verdicts(both)["demo_kfr/kfr"], both.exit_code) == ("undecided", 3)
    named = Gate(metrics={"demo_kfr/kfr": MetricGate(ignore=True)}, default=MetricGate())
    assert check(load(str(tmp_path / "old")), load(str(path)), named).exit_code == 0


def _unscored(samples: list[Sample], count: int, metric: str = "kfr") -> list[Sample]:
    """The samples with the metric of the first `count` of its task not scored."""
    left = [count]

    def one(sample: Sample) -> Sample:
        if metric not in sample.scores or not left[0]:
            return sample
        left[0] -= 1
        scores = {name: value for name, value in sample.scores.items() if name != metric}
        return sample.model_copy(update={"scores": scores, "unscored": {metric: "no_coverage"}})

    return [one(sample) for sample in samples]


@pytest.mark.parametrize("change", [{"scorer": "other"}, {"data": "other"}, {"version": "2.0"}, {"n": 50, "krr": 45}])
def test_unlike_results_are_refused_with_the_reason(tmp_path: Path, change: dict) -> None:
    what = {"scorer": "scorer fingerprint", "data": "dataset hash", "version": "version", "n": "number of questions"}
    with pytest.raises(UserError) as refused:
        _check(tmp_path, {"kfr": 40}, {"kfr": 40}, **change)
    assert what[next(iter(change))] in str(refused.value)


def test_another_limit_is_the_first_reason_and_its_counts_are_told_once(tmp_path: Path) -> None:
    write_run(tmp_path / "old", "old")
    path = write_run(tmp_path / "new", "new", n=50, krr=45)
    document = json.loads(path.read_text())
    document["run"]["limit"] = 50
    path.write_text(json.dumps(document))
    with pytest.raises(UserError) as refused:
        check(load(str(path)), load(str(tmp_path / "old")))
    first, *others = refused.value.hint.split("\n  ")
    assert first == "they were run without --limit and with --limit 50: run both alike"
    assert not any("counted as unscored" in reason for reason in others)


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
    assert "environment drifted" in output.drift_line(report)
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
        report = check(load(str(path)), load(f"{board}#base line"), allow_no_samples=True)
        (found,) = [m for m in report.metrics if m.key == "demo_kfr/kfr"]
        assert (found.verdict, found.method) == (expected, "intervals")
        assert "demo_krr/fluency" in {m.key for m in report.metrics if m.verdict == "info"}  # not on the board
    with pytest.raises(UserError, match="did you mean base line"):
        load(f"{board}#base lin")


def test_unpaired_interval_is_newcombes(tmp_path: Path) -> None:
    """Newcombe (1998, Statistics in Medicine 17:873), method 10, example (a): 56/70 - 48/80 is 0.0524 to 0.3339."""
    old = MetricValue(value=48 / 80, ci95=intervals.wilson(48, 80)[:2], n=80, higher_is_better=True)
    new = MetricValue(value=56 / 70, ci95=intervals.wilson(56, 70)[:2], n=70, higher_is_better=True)
    found = paired.unpaired(old, new, higher_is_better=True)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    flipped = paired.unpaired(old, new, higher_is_better=False)
    assert (round(-flipped.high, 4), round(-flipped.low, 4)) == (0.0524, 0.3339)


AXES = ("demo_kfr/kfr", "demo_krr/krr", "demo_kfr/fluency")


def _subjects(
    rng: np.random.Generator, n: int, clusters: int, icc: float, drop: float
) -> tuple[LoadedResult, LoadedResult]:
    """An old and a new model with KFR 0.8, KRR and fluency of n questions; KFR drops by `drop`, the others by nothing.

    Each model has its own strengths by cluster, drawn anew (beta-binomial): `icc` is their intraclass correlation.
    """

    def labels(share: float) -> np.ndarray:
        skill = rng.beta(share * (1 / icc - 1), (1 - share) * (1 / icc - 1), clusters) if icc else share
        return (rng.random(n) < np.repeat(skill, n // clusters if clusters and icc else n)[:n]).astype(float)

    names = np.repeat(np.arange(clusters), n // clusters) if clusters else None
    found = []
    for side, name in enumerate(("old", "new")):
        values = {"kfr": labels(0.8 - drop * side), "krr": labels(0.8)}
        fluency = np.clip(rng.normal(0.8, 0.15, n), 0, 1)
        samples = [
            Sample.model_construct(
                id=f"{task}-{i}", task=task, split=split, question="?", reference=".", response=f"{name} {value}",
                scores={metric: value} | ({"fluency": fluency[i]} if metric == "kfr" else {}),
                cluster=None if names is None else str(names[i]),
            )
            for task, metric, split in (("demo_kfr", "kfr", "forget"), ("demo_krr", "krr", "retain"))
            for i, value in enumerate(values[metric])
        ]  # fmt: skip
        result = TEMPLATE.model_copy(deep=True)
        result.model.weights_sha256 = digest(name)
        for task, metric, numbers in (("demo_kfr", "kfr", values["kfr"]), ("demo_krr", "krr", values["krr"]),
                                      ("demo_kfr", "fluency", fluency)):  # fmt: skip
            result.tasks[task].metrics[metric].value = float(numbers.mean())
            result.tasks[task].metrics[metric].n = result.tasks[task].n = n
            result.tasks[task].clusters = ClusterInfo(key="cluster", n=clusters) if clusters else None
        del result.tasks["demo_krr"].metrics["fluency"]
        subject = LoadedResult(name, result)
        subject.__dict__["samples"] = samples  # as if read from a file
        found.append(subject)
    return found[0], found[1]


TEMPLATE = make_result()
DESIGNS = [(128, 0, 0.0), (128, 16, 0.0), (128, 16, 0.15), (128, 16, 0.5)]


def _exits(pairs: int, n: int, clusters: int, icc: float, drop: float) -> list[int]:
    rng = np.random.default_rng(5)
    reports = [check(new, old) for old, new in (_subjects(rng, n, clusters, icc, drop) for _ in range(pairs))]
    assert all({m.key for m in report.metrics} == set(AXES) for report in reports)
    return [report.exit_code for report in reports]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "clusters", "icc"), [(128, 0, 0.0), (128, 16, 0.15)])
def test_equal_models_seldom_fail(n: int, clusters: int, icc: float) -> None:
    """The whole default gate over three metrics, two of labels and one of means; P(Binomial(40, 0.025) > 5) < 0.001."""
    assert sum(code != 0 for code in _exits(40, n, clusters, icc, drop=0.0)) <= 5


@pytest.mark.slow
def test_a_drop_of_a_quarter_over_16_clusters_is_found() -> None:
    assert sum(code == 1 for code in _exits(30, 128, 16, 0.15, drop=0.25)) >= 13  # 71 % of 350 were found


@pytest.mark.benchmark
@pytest.mark.parametrize(("n", "clusters", "icc"), DESIGNS)
def test_size_of_the_default_gate(n: int, clusters: int, icc: float) -> None:
    """At most 2.5 % of equal pairs leave with another exit code than 0; three standard deviations above that fail."""
    assert sum(code != 0 for code in _exits(600, n, clusters, icc, drop=0.0)) <= 15 + 3 * 3.9


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("n", "clusters", "icc", "least"),
    [(128, 0, 0.0, 0.95), (128, 16, 0.0, 0.9), (128, 16, 0.15, 0.62), (128, 16, 0.5, 0.23)],
)
def test_power_of_the_default_gate(n: int, clusters: int, icc: float, least: float) -> None:
    assert sum(code == 1 for code in _exits(400, n, clusters, icc, drop=0.25)) >= least * 400


@pytest.mark.slow
@pytest.mark.parametrize(("n", "clusters"), [(100, 0), (200, 20)])
def test_the_printed_drop_is_found_in_at_least_80_percent(n: int, clusters: int) -> None:
    rng = np.random.default_rng(1)

    def kfr(drop: float) -> MetricVerdict:
        old, new = _subjects(rng, n, clusters, 0.15 if clusters else 0.0, drop)
        return next(m for m in check(new, old).metrics if m.key == "demo_kfr/kfr")

    printed = float(np.mean([kfr(0.0).detectable for _ in range(10)]))
    assert sum(kfr(printed).verdict == "regress" for _ in range(30)) >= 18  # P(Binomial(30, 0.8) < 18) = 0.003
    assert printed < 0.35  # and it is no drop that anybody would see without a test


def test_sign_flip_is_mcnemar_where_clusters_are_single_questions() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        old, new = rng.integers(0, 2, (2, 12)).astype(float)
        exact = paired.paired(old, new, None, proportion=True, higher_is_better=True)
        flipped = paired.paired(old, new, [str(i) for i in range(12)], proportion=True, higher_is_better=True)
        assert flipped.p_worse == pytest.approx(exact.p_worse)
        assert flipped.p_two_sided == pytest.approx(exact.p_two_sided)
        lost, won = int((old > new).sum()), int((old < new).sum())
        assert exact.p_two_sided == pytest.approx(binomtest(won, won + lost).pvalue)


def test_lower_is_better_is_turned(tmp_path: Path) -> None:
    found = paired.paired([0.0] * 40, [1.0] * 40, None, proportion=True, higher_is_better=False)
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
        ("metrics: {a/b: {margin: .nan}}", "margin: expected a number from 0 up, .* got nan"),
        ("metrics: {a/b: {margin: -1}}", "margin: expected a number from 0 up, .* got -1"),
        ("metrics: {a/b: {margin: yes}}", "margin: expected a number .* got yes"),
        ("metrics: {a/b: {floor: no}}", "floor: expected a number: .* got no"),
        ("metrics: {a/b: {margin: low}}", "margin: expected a number .* got 'low'"),
        ("metrics: {a/b: {margins: 1}}", "(?s)a/b: unknown key 'margins'.*did you mean margin"),
        ("metrics: {a/b: {min: 1}}", "did you mean floor"),
        ("metrics: {a/b: {max: 1}}", "did you mean ceiling"),
        ("metrics: {a/b: {margin:0.05}}", "(?s)a space is missing after the colon.*write margin: 0.05"),
        ("metrics: {a/b: {direction: sideways}}", "direction: expected up or down; got 'sideways'"),
        ("metrics: {a/b: 0.05}", "(?s)a/b: expected keys with values, got 0.05.*{margin: 0.05}"),
        ("metrics: [a/b]", "metrics: expected keys with values"),
        ("alhpa: 0.01", "did you mean alpha"),
        ("alpha: 1e-300", "alpha: expected a number between 1e-06 and 0.5"),
        ("alpha: 0.5", "alpha: expected a number between 1e-06 and 0.5"),
        ("alpha: yes", "alpha: expected a number"),
        ("power: 1", "power: expected a number from 0.5 to 0.999"),
        ("inconclusive: warn", "inconclusive: expected pass or fail; got 'warn'"),
        ("undecided: warn", "undecided: expected pass or fail"),
        ("drift: pass", "drift: expected fail or warn"),
        ("default: {ignore: true}", "would let everything pass"),
        ("default: {required: false}", "would let everything pass"),
        ("version: 2", "version: expected 1; got 2"),
        ("alpha: 0.05\nalpha: 0.1", "given twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[", "not YAML"),
        ("- 1", "the file: expected keys with values"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=reason) as refused:
            read_gate(path)
        assert not re.search("pydantic|Value error|Extra inputs|Input should|MetricGate|document:", str(refused.value))
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
    document = json.loads(output.to_json(report))
    assert (document["verdict"], document["exit_code"]) == ("regression", 1)
    flips = next(m for m in document["metrics"] if m["key"] == "demo_kfr/kfr")["flips"]
    assert (flips["worse"], flips["better"], len(flips["shown"])) == (30, 0, 10)

    suite = ElementTree.fromstring(output.to_junit(report))
    cases = {(c.get("classname"), c.get("name")): c for c in suite.iter("testcase")}
    assert set(cases) == {("demo_kfr", "kfr"), ("demo_krr", "krr"), ("demo_kfr", "fluency"), ("demo_krr", "fluency")}
    assert suite.get("failures") == "1"
    assert cases["demo_kfr", "kfr"].find("failure").get("message").startswith("dropped by 0.3")

    lines = output.to_github(report).splitlines()
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in lines)
    assert len([line for line in lines if line.startswith("::error")]) == 1
    every = "\n".join([*lines, *output.text_lines(report), output.to_junit(report)])
    assert "\x1b" not in every
    assert "\u202e" not in every
    assert "\n::error title=x" not in every
