"""Fitting agreement: the arithmetic on made rows, and the shipped weights and figures from the labels themselves."""

import json
from pathlib import Path

import numpy as np
import pytest

from unlearn_bench.evidence import agreement, fit_agreement, judge_error
from unlearn_bench.evidence.agreement_rules import FEATURES
from unlearn_bench.evidence.fit_agreement import Labelled, Table, calibration_error, fit, out_of_fold, predict

GOLDEN = Path(__file__).parents[2] / "golden"
SHIPPED = json.loads(Path(fit_agreement.__file__).with_name("data").joinpath("agreement.json").read_text())
FIGURES = SHIPPED["figures"]


def _table(n: int = 60) -> Table:
    """Rows whose precision alone tells: known where it is above a half, partly where it is a half."""
    rng = np.random.default_rng(0)
    features = np.zeros((n, len(FEATURES)))
    features[:, 0] = np.arange(n) / (n - 1)
    features[:, 1] = rng.uniform(size=n)
    targets = np.where(features[:, 0] > 0.5, 1.0, 0.0)
    targets[n // 2] = 0.5
    names = {1.0: "yes", 0.5: "partly", 0.0: "no"}
    rows = [Labelled("tofu", "full", f"Question {i // 3}?", "R", f"{i}", names[t]) for i, t in enumerate(targets)]
    decided = np.full(n, np.nan)
    return Table(rows, features, targets, np.ones(n), decided)


def test_newton_finds_the_minimum() -> None:
    table = _table()
    model = fit(table, np.ones(60, dtype=bool))
    values = table.features
    scale = values.std(axis=0)
    weights = np.array(model.weights)

    def loss(raw: np.ndarray, intercept: float) -> float:
        p = 1 / (1 + np.exp(-(intercept + values @ raw)))
        cross = -(table.targets * np.log(p) + (1 - table.targets) * np.log(1 - p)).sum()
        return cross + fit_agreement.PENALTY / 2 * ((raw * scale) ** 2).sum()

    least = loss(weights, model.intercept)
    for i in (0, 1):
        for step in (-0.01, 0.01):
            moved = weights.copy()
            moved[i] += step
            assert loss(moved, model.intercept) > least
    assert loss(weights, model.intercept + 0.01) > least
    assert weights[0] > 0 > model.intercept
    assert not weights[2:].any()  # features without variance have no weight


def test_decided_rows_give_what_a_rule_is_worth_and_no_weight() -> None:
    table = _table()
    decided = table.decided.copy()
    decided[-8:], decided[:4] = 1.0, 0.0
    some = table._replace(decided=decided)
    model = fit(some, np.ones(60, dtype=bool))
    assert model.stated == pytest.approx((8 + 2 * 0.95) / 10)
    assert model.denied == pytest.approx(2 * 0.05 / 6)
    assert predict(model, some)[[0, -1]].tolist() == pytest.approx([model.denied, model.stated])
    changed = some._replace(features=np.where(np.isnan(decided)[:, None], some.features, 9.0))
    assert fit(changed, np.ones(60, dtype=bool)) == model


def test_rows_for_checking_are_not_fitted_to() -> None:
    table = _table()
    rows = [row._replace(checks=i % 2 == 0) for i, row in enumerate(table.rows)]
    every, half = np.ones(60, dtype=bool), np.arange(60) % 2 == 1
    assert fit(table._replace(rows=rows), every) == fit(table, half)


def test_answers_to_one_question_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    table, seen = _table(), []
    monkeypatch.setattr(fit_agreement, "fit", lambda table, used: seen.append(used) or fit(table, used))
    out_of_fold(table, seed=0)
    assert np.array(seen).sum(axis=0).tolist() == [4] * 60  # each row is left out once
    for used in seen:
        inside = {row.question for row, here in zip(table.rows, used, strict=True) if here}
        outside = {row.question for row, here in zip(table.rows, used, strict=True) if not here}
        assert inside.isdisjoint(outside)


def test_calibration_error_by_hand() -> None:
    table = _table(4)._replace(targets=np.array([1.0, 0.0, 1.0, 1.0]))
    p = np.array([0.8, 0.8, 0.31, 0.9])  # bins: two at 0.8 with one known, one at 0.3, one at 0.9
    assert calibration_error(table, p, np.ones(4, dtype=bool)) == pytest.approx((0.6 + 0.69 + 0.1) / 4)


def test_shipped_figures_reach_what_is_claimed() -> None:
    assert FIGURES["all"]["balanced_accuracy"] >= 0.92
    assert FIGURES["unlearned"]["balanced_accuracy"] >= 0.88
    assert min(FIGURES[name]["specificity"] for name in ("all", "unlearned")) >= 0.95
    assert min(one["balanced_accuracy"] for one in FIGURES["left_out"].values()) >= 0.90
    assert FIGURES["known_in_other_words"]["recognised"] >= 0.70
    assert FIGURES["calibration_error"]["yes_and_no"] <= 0.05
    assert list(SHIPPED["model"]["weights"]) == list(FEATURES)


@pytest.mark.slow
def test_the_shipped_file_follows_from_the_labels(shared_data: Path) -> None:
    files = [GOLDEN / f"tofu_reader_labels{end}.json" for end in ("", "_2")]
    rows = fit_agreement.read_labels(shared_data / "labels" / "reader_labels.json")
    rows += [row for file in files for row in fit_agreement.read_golden(file, shared_data / "logs")]
    documents = fit_agreement.documents(rows)
    found = documents[agreement.DATA]
    assert found["fit"] == SHIPPED["fit"]
    for key, value in SHIPPED["model"].items():
        assert found["model"][key] == pytest.approx(value, abs=1e-3), key
    assert json.loads(json.dumps(found["figures"]["all"])) == pytest.approx(FIGURES["all"], abs=0.01)
    errors = documents[judge_error.DATA]["ways"]["rules"]["groups"]["all"]
    assert errors["labels_sha256"] == judge_error.judge_error("rules").labels_sha256
    assert errors["yes"] == pytest.approx(judge_error.judge_error("rules").yes, abs=1)


def test_counts_by_hand() -> None:
    table = _table(6)
    p = np.array([[0.1, 0.6, 0.2, 0.5, 0.9, 0.4], [0.1, 0.1, 0.2, 0.4, 0.9, 0.9]])  # no no no partly yes yes
    found = fit_agreement.counts(table, p)["all"]
    assert (found["no"], found["partly"], found["yes"]) == ([0.5, 2.5], [0.5, 0.5], [1.5, 0.5])
    assert found["questions"] == 2


@pytest.mark.slow
def test_no_row_of_a_checked_set_is_fitted_to(shared_data: Path) -> None:
    rows = fit_agreement.read_labels(shared_data / "labels" / "reader_labels.json")
    checks = [row for row in rows if row.checks]
    assert checks
    assert not {row.sha256[:16] for row in checks} & set(SHIPPED["fit"]["rows_sha256"])
    for name in ("world_facts", "real_authors"):
        lines = (shared_data / "tofu" / f"{name}.json").read_text().splitlines()
        asked = {json.loads(line)["question"] for line in lines if line.strip()}
        hashes = {row.sha256[:16] for row in rows if row.question in asked}
        assert not hashes & set(SHIPPED["fit"]["rows_sha256"])
