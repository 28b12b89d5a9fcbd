"""Summaries on made answers: what they need, what they are without it, and known values."""

import math

import numpy as np
import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.summaries.aggregate import by_role, members, metrics, summarise
from unlearn_bench.summaries.base import Rows
from unlearn_bench.summaries.privleak import privleak

COMPONENTS = ("probability", "probability_normalised", "rougeL_recall", "truth_ratio")


def rows(role: str, n: int = 40, shift: float = 0.0, seed: int = 0, **scores: float) -> list[Sample]:
    """Answers of one role; `shift` moves ln r and the membership scores."""
    rng = np.random.default_rng([seed, len(role)])
    found = []
    for i in range(n):
        ln_r, noise = float(rng.normal(shift, 1.0)), float(rng.normal(0, 0.1))
        means = {"paraphrased_answer": -2.0, "perturbed_answers.0": -2.0 + ln_r}
        values = {name: min(1.0, max(0.0, value + noise)) for name, value in scores.items()}
        found.append(
            Sample(
                id=f"{role}-{i}",
                task=role,
                role=role,
                question=f"{role} {i}?",
                reference="a",
                response="b",
                cluster=f"{role}-{i // 4}",
                likelihoods={name: Likelihood(mean_logprob=value) for name, value in means.items()},
                scores={**values, "loss": 3 + ln_r, "min_k": 5 + ln_r},
            )
        )
    return found


def everything(**levels: float) -> list[Sample]:
    given = {**dict.fromkeys(COMPONENTS, 0.5), **levels}
    return [s for role in ("forget", "retain", "neighbour", "world", "holdout") for s in rows(role, **given)]


def test_without_an_oracle_nothing_stands_in() -> None:
    found = summarise(everything(), None, {})
    of_a_benchmark = {name for name in metrics() if name.startswith(("lume_", "rwku_"))}
    assert set(found) == set(metrics()) - of_a_benchmark
    needing = [m.name for s in members().values() if s.oracle for m in s.metrics if m.name not in of_a_benchmark]
    assert set(needing) >= {"forget_quality", "forget_ks", "privleak", "mia_reference"}
    for name in needing:
        assert found[name].value is None
        assert set(found[name].unscored_reasons) == {"no_oracle"}
    assert summarise(everything(), None, {"parity": "open-unlearning"})["privleak"].value is not None


def test_model_utility_is_a_harmonic_mean_of_nine() -> None:
    samples = everything(truth_ratio=0.25)
    value = summarise(samples, None, {})["model_utility"]
    means = [
        np.mean([s.scores[m] for s in samples if s.role == role])
        for role in ("retain", "neighbour", "world")
        for m in ("probability" if role == "retain" else "probability_normalised", "rougeL_recall", "truth_ratio")
    ]
    assert value.value == pytest.approx(9 / sum(1 / m for m in means))
    assert value.ci95[0] < value.value < value.ci95[1]
    assert value.n == 120
    lacking = [s for s in samples if s.role != "world"]
    missing = summarise(lacking, None, {})["model_utility"]
    assert (missing.value, list(missing.unscored_reasons)) == (None, ["no_world_probability_normalised_and_2_more"])
    for s in samples:
        s.scores["rougeL_recall"] = 0.0
    assert summarise(samples, None, {})["model_utility"].value == 0.0


def test_interval_of_model_utility_covers() -> None:
    covered, compute = 0, members()["model_utility"].compute
    for seed in range(40):
        samples = [
            s
            for role in ("retain", "neighbour", "world")
            for s in rows(role, 80, seed=seed, **dict.fromkeys(COMPONENTS, 0.5))
        ]
        interval = compute(Rows(by_role(samples)))["model_utility"].interval
        covered += interval.low <= 0.5 <= interval.high
    assert covered >= 35


def test_forget_quality_against_itself_and_another() -> None:
    own = everything()
    same = summarise(own, own, {})
    assert (same["forget_quality"].value, same["forget_ks"].value, same["forget_shift"].value) == (1.0, 0.0, 0.0)
    other = [*rows("forget", shift=-1.5), *rows("holdout")]
    far = summarise(other, own, {})
    assert far["forget_quality"].value < 1e-4
    assert far["forget_ks"].value > 0.4
    assert far["forget_shift"].value == pytest.approx(-1.5, abs=1e-9)
    assert far["forget_shift"].ci95[1] < 0
    assert far["forget_shift_p"].value < 1e-6


def test_rows_are_paired_by_id() -> None:
    own = rows("forget")
    turned = summarise(own, list(reversed(own)), {})
    assert turned["forget_shift"].value == 0.0
    assert summarise(own, own[:30], {})["forget_ks"].n == 30


def test_membership_and_privleak() -> None:
    model = [*rows("forget", shift=-2.0), *rows("holdout")]
    oracle = [*rows("forget", shift=0.0), *rows("holdout")]
    found = summarise(model, oracle, {})
    auc, reference = found["mia_min_k"], summarise(oracle, None, {})["mia_min_k"]
    assert auc.value > 0.85
    assert auc.ci_method == "cluster_delong"
    assert found["privleak"].value == pytest.approx(privleak(1 - auc.value, 1 - reference.value))
    assert found["privleak"].ci95[0] < found["privleak"].value < found["privleak"].ci95[1] < 0
    assert summarise(oracle, oracle, {})["privleak"].value == pytest.approx(0.0)
    alone = summarise(rows("forget"), None, {})["mia_min_k"]
    assert (alone.value, list(alone.unscored_reasons)) == (None, ["no_holdout_rows"])


def test_privleak_against_a_published_reference() -> None:
    model = [*rows("forget", shift=-2.0), *rows("holdout")]
    auc = summarise(model, None, {})["mia_min_k"].value
    found = summarise(model, None, {"privleak_oracle": "muse-news"})["privleak"]
    assert found.value == pytest.approx(100 * (1 - auc - 0.4772) / 0.4772)
    assert found.ci95[0] < found.value < found.ci95[1]
    assert summarise(model, None, {"privleak_oracle": 0.5})["privleak"].value == pytest.approx(100 * (0.5 - auc) / 0.5)
    with pytest.raises(UserError, match="privleak_oracle"):
        summarise(model, None, {"privleak_oracle": "muse"})


def test_perfect_members_have_an_interval_against_the_oracle() -> None:
    model = [*rows("forget", shift=-30.0), *rows("holdout")]
    found = summarise(model, [*rows("forget"), *rows("holdout")], {})["privleak"]
    assert found.value == -100.0
    assert found.ci95[0] == -100.0
    assert not math.isclose(found.ci95[1], -100.0)
