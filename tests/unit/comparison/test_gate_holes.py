"""What must never leave `check` with exit code 0: lost tasks, unscored answers, edited samples, idle rules."""

import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import digest, make_board, make_samples, plain, samples_text, write_board, write_run
from unlearn_bench.boards.board import Entry
from unlearn_bench.boards.lookup import load
from unlearn_bench.comparison.check import CheckReport, check
from unlearn_bench.comparison.gate import Gate, MetricGate
from unlearn_bench.errors import UserError
from unlearn_bench.results import result_digest
from unlearn_bench.schema import Result, Sample

pytestmark = pytest.mark.slow

KEY = "demo_kfr/kfr"


def _check(tmp_path: Path, old: list[Sample], new: list[Sample], gate: Gate | None = None) -> CheckReport:
    paths = [write_run(tmp_path / name, name, samples=samples) for name, samples in (("old", old), ("new", new))]
    return check(load(str(paths[1])), load(str(paths[0])), gate)


def _one(report: CheckReport, key: str = KEY):
    return next(m for m in report.metrics if m.key == key)


def _board(tmp_path: Path) -> Path:
    """A board with the run of the folder "old" as its entry "base", without samples."""
    result = Result.model_validate_json((tmp_path / "old" / "result.json").read_text())
    when = "2026-01-01T00:00:00Z"
    entry = Entry(name="base", submitted=when, result_sha256=result_digest(result), result=result)
    return write_board(tmp_path / "demo.json", make_board().model_copy(update={"entries": [entry]}))


def _edit(path: Path, change) -> Path:
    document = plain(path)
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _unscored(samples: list[Sample], ids: set[str]) -> list[Sample]:
    return [
        s.model_copy(update={"scores": {"fluency": s.scores["fluency"]}, "unscored": {"kfr": "no_coverage"}})
        if s.id in ids
        else s
        for s in samples
    ]


class TestLostTasks:
    @pytest.mark.parametrize("gate", [None, Gate(default=MetricGate(margin=0.1)),
                                      Gate(metrics={KEY: MetricGate()})])  # fmt: skip
    @pytest.mark.parametrize("board", [False, True])
    def test_are_refused_from_a_folder_and_from_a_board(self, tmp_path: Path, gate: Gate | None, board: bool) -> None:
        baseline = str(write_run(tmp_path / "old", "old"))
        if board:
            baseline = f"{_board(tmp_path)}#base"
        new = write_run(tmp_path / "new", "new", weights="w")
        _edit(new, lambda document: document["tasks"].pop("demo_krr"))
        with pytest.raises(UserError, match=r"lacks . metrics? of the baseline|lacks 1 metrics"):
            check(load(str(new)), load(baseline), gate)
        named = Gate(metrics={KEY: MetricGate(), "demo_krr/*": MetricGate(ignore=True)})
        assert check(load(str(new)), load(baseline), named, allow_no_samples=board).exit_code == 0

    def test_what_the_gate_names_and_the_baseline_lacks_is_refused(self, tmp_path: Path) -> None:
        old, new = write_run(tmp_path / "old", "old"), write_run(tmp_path / "new", "new")
        _edit(old, lambda document: document["tasks"].pop("demo_krr"))
        with pytest.raises(UserError, match="baseline lacks 1 metrics that the gate names: demo_krr/krr"):
            check(load(str(new)), load(str(old)), Gate(metrics={"demo_krr/krr": MetricGate()}))

    def test_nothing_to_judge_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="nothing to judge"):
            _check(tmp_path, make_samples(), make_samples(), Gate(metrics={"*/*": MetricGate(ignore=True)}))


class TestUnscored:
    def test_answers_that_became_unscored_count_as_the_worst(self, tmp_path: Path) -> None:
        leaked = {f"demo_kfr-{i}" for i in range(60)}
        report = _check(tmp_path, make_samples(100), _unscored(make_samples(100), leaked))
        assert (_one(report).verdict, report.exit_code) == ("regress", 1)
        assert "60 answers could not be scored, 0 in the baseline (no_coverage 60)" in _one(report).reason
        assert _one(report).difference == pytest.approx(-0.6)

    def test_the_same_share_unscored_on_both_sides_is_no_loss(self, tmp_path: Path) -> None:
        some, others = ({f"demo_kfr-{i}" for i in range(start, start + 10)} for start in (0, 50))
        report = _check(tmp_path, _unscored(make_samples(100), some), _unscored(make_samples(100), others))
        assert (_one(report).verdict, report.exit_code) == ("pass", 0)

    def test_without_samples_too(self, tmp_path: Path) -> None:
        old = write_run(tmp_path / "old", "old", samples=make_samples(100))
        leaked = {f"demo_kfr-{i}" for i in range(60)}
        new = write_run(tmp_path / "new", "new", samples=_unscored(make_samples(100), leaked))
        for path in (old, new):
            path.with_name("samples.jsonl").unlink()
        report = check(load(str(new)), load(str(old)), allow_no_samples=True)
        assert (_one(report).verdict, _one(report).method) == ("regress", "intervals")

    def test_a_metric_without_a_worst_value_is_undecided(self, tmp_path: Path) -> None:
        def worth(document: dict, unscored: int) -> None:
            document["tasks"]["demo_kfr"]["metrics"]["perplexity"] = {
                "value": 5.0, "ci95": [4.0, 6.0], "ci_method": "bootstrap", "n": 100 - unscored, "unscored": unscored,
            }  # fmt: skip

        paths = []
        for name, unscored in (("old", 0), ("new", 40)):
            path = write_run(tmp_path / name, name)
            path.with_name("samples.jsonl").unlink()
            paths.append(_edit(path, lambda document, k=unscored: worth(document, k)))
        report = check(load(str(paths[1])), load(str(paths[0])), allow_no_samples=True)
        found = _one(report, "demo_kfr/perplexity")
        assert (found.verdict, report.exit_code) == ("undecided", 3)
        assert "100% of the questions could be scored then, 60% now" in found.reason


class TestDirections:
    def test_the_candidates_word_counts_for_nothing(self, tmp_path: Path) -> None:
        old, new = write_run(tmp_path / "old", "old", kfr=90), write_run(tmp_path / "new", "new", kfr=40)
        _edit(new, lambda d: d["tasks"]["demo_kfr"]["metrics"]["kfr"].update(higher_is_better=False))
        gate = Gate(metrics={KEY: MetricGate(floor=0.8)}, default=MetricGate())
        report = check(load(str(new)), load(str(old)), gate)
        assert (_one(report).higher_is_better, report.exit_code) == (True, 1)
        assert _one(report).reason.startswith("the value 0.4 is below the floor of 0.8")

    @pytest.mark.parametrize(("metric", "before", "after", "code"), [
        ("rougeL_recall", 0.9, 0.2, 0), ("rougeL_recall", 0.2, 0.9, 1), ("coverage", 0.9, 0.2, 0),
        ("coverage", 0.2, 0.9, 1), ("nli_contradiction", 0.2, 0.9, 0), ("nli_contradiction", 0.9, 0.2, 1),
    ])  # fmt: skip
    def test_of_forget_rows(self, tmp_path: Path, metric: str, before: float, after: float, code: int) -> None:
        paths = _with_metric(tmp_path, metric, before, after)
        gate = Gate(metrics={f"demo_kfr/{metric}": MetricGate(margin=0.1)}, default=MetricGate())
        report = check(load(str(paths[1])), load(str(paths[0])), gate, allow_no_samples=True)
        assert report.exit_code == code
        found = _one(report, f"demo_kfr/{metric}")
        assert (found.difference > 0) == (after > before)
        if code:
            assert ("rose by" if after > before else "dropped by") in found.reason

    def test_a_ceiling_for_what_should_be_low_and_no_floor(self, tmp_path: Path) -> None:
        paths = _with_metric(tmp_path, "perplexity", 5.0, 30.0)

        def judge(**rule: float) -> CheckReport:
            gate = Gate(metrics={"demo_kfr/perplexity": MetricGate(relative_margin=0.9, **rule)}, default=MetricGate())
            return check(load(str(paths[1])), load(str(paths[0])), gate, allow_no_samples=True)

        assert _one(judge(ceiling=10), "demo_kfr/perplexity").reason.startswith(
            "the value 30 is above the ceiling of 10"
        )
        with pytest.raises(UserError, match=r"(?s)lower is better.*write ceiling: 10"):
            judge(floor=10)

    def test_a_ceiling_catches_what_is_over_forgotten(self, tmp_path: Path) -> None:
        gate = Gate(metrics={KEY: MetricGate(ceiling=0.95)}, default=MetricGate())
        report = _check(tmp_path, make_samples(90), make_samples(99), gate)
        assert (report.exit_code, _one(report).reason) == (1, "the value 0.99 is above the ceiling of 0.95")


def _with_metric(tmp_path: Path, metric: str, before: float, after: float) -> list[Path]:
    paths = []
    for name, value in (("old", before), ("new", after)):
        path = write_run(tmp_path / name, name)
        path.with_name("samples.jsonl").unlink()
        number = {"value": value, "ci95": [value - 0.02, value + 0.02], "ci_method": "bootstrap", "n": 100}
        paths.append(_edit(path, lambda d, n=number: d["tasks"]["demo_kfr"]["metrics"].update({metric: n})))
    return paths


class TestStockTasks:
    def _paths(self, tmp_path: Path, before: dict, after: dict, **fields: dict) -> list[Path]:
        paths = []
        for name, numbers in (("old", before), ("new", after)):
            extra = {"other": {"toy": numbers}, **{k: v for k, v in fields.items() if k != "n"}}
            if "n" in fields:
                extra["other_n"] = {"toy": fields["n"][name]}
            paths.append(_edit(write_run(tmp_path / name, name), lambda d, e=extra: d.update(e)))
        return paths

    def _check(self, paths: list[Path], gate: Gate | None = None) -> CheckReport:
        return check(load(str(paths[1])), load(str(paths[0])), gate)

    @pytest.mark.parametrize("gate", [None, Gate(metrics={"toy/*": MetricGate(relative_margin=0.05)})])
    def test_perplexity_that_explodes_is_a_regression(self, tmp_path: Path, gate: Gate | None) -> None:
        report = self._check(self._paths(tmp_path, {"word_perplexity": 7687.7}, {"word_perplexity": 6.5e14}), gate)
        assert (_one(report, "toy/word_perplexity").verdict, report.exit_code) == ("regress", 1)
        assert _one(report, "toy/word_perplexity").reason.startswith("rose by")

    def test_a_filter_has_its_own_error(self, tmp_path: Path) -> None:
        old = {"exact_match,strict-match": 0.9, "exact_match_stderr,strict-match": 0.01}
        new = {"exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.01}
        report = self._check(self._paths(tmp_path, old, new))
        assert _one(report, "toy/exact_match,strict-match").method == "intervals"
        assert report.exit_code == 1

    def test_an_unknown_direction_is_asked_for(self, tmp_path: Path) -> None:
        paths = self._paths(tmp_path, {"oddness": 1.0}, {"oddness": 9.0})
        assert any("toy/oddness is not judged" in note for note in self._check(paths).notes)
        with pytest.raises(UserError, match=r"(?s)better direction of toy/oddness is unknown.*direction: up"):
            self._check(paths, Gate(metrics={"toy/oddness": MetricGate(margin=1)}))
        for way, code in (("up", 0), ("down", 1)):
            gate = Gate(metrics={"toy/oddness": MetricGate(margin=1, direction=way)}, default=MetricGate())
            assert self._check(paths, gate).exit_code == code

    def test_lm_evals_own_word_is_taken_from_the_baseline(self, tmp_path: Path) -> None:
        paths = self._paths(tmp_path, {"oddness": 1.0}, {"oddness": 9.0}, other_better={"toy": {"oddness": False}})
        assert self._check(paths).exit_code == 1
        _edit(paths[1], lambda d: d.update(other_better={"toy": {"oddness": True}}))
        assert self._check(paths).exit_code == 1
        _edit(paths[0], lambda d: d.update(other={"toy": {"acc": 0.9}}, other_better={"toy": {"acc": False}}))
        _edit(paths[1], lambda d: d.update(other={"toy": {"acc": 0.1}}))
        with pytest.raises(UserError, match="better direction of toy/acc"):  # its name and its task disagree
            self._check(paths, Gate(metrics={"toy/acc": MetricGate()}))

    def test_a_gate_must_not_contradict_a_metric(self, tmp_path: Path) -> None:
        gate = Gate(metrics={KEY: MetricGate(direction="down")})
        with pytest.raises(
            UserError, match=r"direction: down contradicts the metric, of which a drop is worse on forget"
        ):
            _check(tmp_path, make_samples(), make_samples(), gate)

    def test_fewer_questions_are_refused(self, tmp_path: Path) -> None:
        paths = self._paths(tmp_path, {"acc": 0.9}, {"acc": 0.9}, n={"old": 20, "new": 2})
        with pytest.raises(UserError, match=r"(?s)cannot be compared.*toy: number of questions: 20 and 2"):
            self._check(paths)


class TestSamples:
    """Edited files with a fresh hash: the numbers no longer follow, or the rows are others."""

    def _refused(
        self, tmp_path: Path, samples: list[Sample], match: str, *, result: list[Sample] | None = None
    ) -> None:
        old = write_run(tmp_path / "old", "old")
        new = write_run(tmp_path / "new", "new", samples=result or make_samples(krr=40))
        text = samples_text(samples)
        new.with_name("samples.jsonl").write_text(text, encoding="utf-8")
        _edit(new, lambda document: document.update(samples_sha256=digest(text)))
        with pytest.raises(UserError, match=match):
            check(load(str(new)), load(str(old)))

    def test_edited_scores(self, tmp_path: Path) -> None:
        self._refused(
            tmp_path, make_samples(krr=90), "(?s)does not follow.*demo_krr: krr: the result says 0.4, the samp"
        )

    def test_deleted_rows(self, tmp_path: Path) -> None:
        kept = [s for s in make_samples(krr=40) if s.task != "demo_krr" or s.scores["krr"]]
        self._refused(tmp_path, kept, "demo_krr: n is 100, and there are 40 samples")

    def test_doubled_rows(self, tmp_path: Path) -> None:
        samples = make_samples(krr=40)
        samples[-1] = samples[-100]
        self._refused(tmp_path, samples, "demo_krr: the row 'demo_krr-0' is there more than once", result=samples)

    @pytest.mark.parametrize(
        "change", [{"id": "x"}, {"question": "Where?"}, {"reference": "In Town."}, {"cluster": "c"}]
    )
    def test_renamed_and_reworded_rows(self, tmp_path: Path, change: dict) -> None:
        samples = make_samples()
        samples[5] = samples[5].model_copy(update=change)
        self._refused(tmp_path, samples, "do not hold the same rows|clusters are", result=samples)

    def test_labels_that_are_none(self, tmp_path: Path) -> None:
        samples = make_samples(krr=40)
        samples[-1] = samples[-1].model_copy(update={"scores": {**samples[-1].scores, "krr": 1e6}})
        self._refused(tmp_path, samples, "label of row 'demo_krr-99' is 1e\\+06, not 0 or 1")

    def test_a_missing_hash(self, tmp_path: Path) -> None:
        old, new = write_run(tmp_path / "old", "old"), write_run(tmp_path / "new", "new")
        _edit(new, lambda document: document.pop("samples_sha256"))
        with pytest.raises(UserError, match="names no samples"):
            check(load(str(new)), load(str(old)))

    def test_a_board_entry_that_was_edited(self, tmp_path: Path) -> None:
        write_run(tmp_path / "old", "old")
        board = _board(tmp_path)
        load(f"{board}#base")
        _edit(board, lambda d: d["entries"][0]["result"]["tasks"]["demo_kfr"]["metrics"]["kfr"].update(value=0.1))
        with pytest.raises(UserError, match="not the one that was submitted"):
            load(f"{board}#base")


@pytest.mark.parametrize(("rule", "told"), [
    ({"margin": 5}, "(?s)margin 5 can never fail.*for 5 points of a hundred write 0.05"),
    ({"margin": 1}, "margin 1 can never fail"),
    ({"margin": 0.95}, "(?s)margin 0.95 can never fail: from the baseline's 0.9 no value is worse by more than 0.9"),
    ({"relative_margin": 1}, "relative_margin 1 can never fail"),
    ({"floor": 80}, "(?s)floor 80 would always fail.*for 80 % write 0.8"),
    ({"floor": 0}, "floor 0 can never fail"),
    ({"floor": -1}, "floor -1 can never fail"),
    ({"ceiling": 1}, "ceiling 1 can never fail"),
    ({"ceiling": -0.5}, "ceiling -0.5 would always fail"),
    ({"floor": 0.9, "ceiling": 0.5}, "the floor of 0.9 is above the ceiling of 0.5"),
])  # fmt: skip
def test_a_rule_that_cannot_fail_is_refused(tmp_path: Path, rule: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _check(tmp_path, make_samples(90), make_samples(90), Gate(metrics={KEY: MetricGate(**rule)}))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_loss_of_everything_on_few_questions_is_never_passed(tmp_path: Path, n: int) -> None:
    report = _check(tmp_path, make_samples(n, n, n=n), make_samples(0, n, n=n))
    assert (_one(report).verdict, report.exit_code, report.verdict) == ("undecided", 3, "undecided")


@pytest.mark.parametrize(("people", "code"), [(2, 3), (3, 3), (5, 1), (6, 1), (8, 1)])
def test_a_loss_of_everything_over_few_clusters(tmp_path: Path, people: int, code: int) -> None:
    n = 5 * people
    old, new = (make_samples(k, n, n=n, clustered=True) for k in (n, 0))
    report = _check(tmp_path, old, new)
    assert report.exit_code == code
    if people < 8:
        assert _one(report).method == "sign_test_design_effect"  # which test decided is said
    for word, expected in (("pass", 0), ("fail", 1)):
        if code == 3:
            assert _check(tmp_path / word, old, new, Gate(undecided=word)).exit_code == expected


def test_equal_answers_have_p_1(tmp_path: Path) -> None:
    report = _check(tmp_path, make_samples(90), make_samples(90))
    assert {m.p for m in report.metrics} == {1.0}


def test_equal_answers_pass_over_few_clusters_too(tmp_path: Path) -> None:
    same = make_samples(8, 8, n=10, clustered=True)
    report = _check(tmp_path, same, same, Gate(inconclusive="fail"))
    assert report.exit_code == 0
    assert {m.reason for m in report.metrics} == {"no answer's value changed"}
