"""The joint test: the exact answer where all swaps can be counted by hand, and never less than one metric's own p."""

import numpy as np
import pytest

from unlearn_bench.stats import multiplicity
from unlearn_bench.stats.multiplicity import Member, Swaps
from unlearn_bench.stats.paired import paired, paired_corpus, resolved
from unlearn_bench.stats.questions import METHOD


def _tested(*sums: list[float], weight: float = 1.0) -> dict[str, Member]:
    found = {}
    for i, values in enumerate(sums):
        swaps = multiplicity.linear([str(u) for u in range(len(values))], np.array(values, dtype=float))
        found[f"m{i}"] = Member(multiplicity.one_sided(swaps, 0)[0], weight, swaps)
    return found


def test_metrics_that_say_the_same_cost_nothing() -> None:
    one = [-1.0] * 6
    assert multiplicity.adjust(_tested(one)) == {"m0": 1 / 64}
    assert multiplicity.adjust(_tested(one, [-2.0] * 6, [0.0] * 6)) == {"m0": 1 / 64, "m1": 1 / 64, "m2": 1.0}


def test_opposite_metrics_cost_what_they_must() -> None:
    # m0 lost in every unit, m1 won in every unit: one pattern of 64 is as bad for m0, and another one for m1
    assert multiplicity.adjust(_tested([-1.0] * 6, [1.0] * 6)) == {"m0": 2 / 64, "m1": 1.0}


def test_never_more_than_holm_and_never_less_than_alone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        tested = _tested(*rng.integers(-3, 2, (4, 9)).astype(float).tolist())
        alone = {name: t.p for name, t in tested.items()}
        adjusted = multiplicity.adjust(tested)
        holm = dict(zip(alone, multiplicity.holm(list(alone.values())), strict=True))
        assert all(alone[name] <= adjusted[name] <= holm[name] + 1e-12 for name in alone)


def test_weights_share_alpha() -> None:
    tests = {"label": Member(0.01, 4.0), "mean": Member(0.01, 1.0)}  # no swaps: Bonferroni's bound
    assert multiplicity.adjust(tests) == pytest.approx({"label": 0.01 * 5 / 4, "mean": 0.01 * 5 / 4})


def test_many_units_are_drawn_and_the_same_each_time() -> None:
    tests = _tested([-1.0] * 40, list(np.linspace(-1, 1, 40)))
    first = multiplicity.adjust(tests)
    assert first == multiplicity.adjust(tests)
    assert first["m0"] <= 2 / (1 + multiplicity.DRAWS)
    assert first["m1"] > 0.3


def test_a_function_of_means_swaps_like_a_mean() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.random((2, 30, 1))
    clusters = [str(i // 3) for i in range(30)]
    corpus = paired_corpus(old, new, clusters, lambda means: means[..., 0], higher_is_better=True)
    mean = paired(old[:, 0], new[:, 0], clusters, proportion=False, higher_is_better=True)
    assert corpus.p_worse == pytest.approx(mean.p_worse)
    assert corpus.p_two_sided == pytest.approx(mean.p_two_sided)
    signs = 1 - 2 * rng.integers(0, 2, (50, 10))
    assert corpus.swaps.difference(signs) == pytest.approx(mean.swaps.difference(signs))


def test_swaps_of_a_ratio_of_uneven_units_keep_counts() -> None:
    old, new = np.array([[1.0], [np.nan], [3.0]]), np.array([[2.0], [5.0], [np.nan]])
    found = paired_corpus(old, new, ["a", "b", "c"], lambda means: means[..., 0], higher_is_better=True)
    kept, swapped = found.swaps.difference(np.array([[1, 1, 1], [-1, -1, -1]]))
    assert (kept, swapped) == (pytest.approx(3.5 - 2.0), pytest.approx(2.0 - 3.5))


def test_too_few_clusters_are_decided_over_questions_and_only_then() -> None:
    def lost(clusters: int, alpha: float):
        n = 8 * clusters
        names = [str(i // 8) for i in range(n)]
        return resolved(paired([1.0] * n, [0.0] * n, names, proportion=True, higher_is_better=True), alpha)

    # 8 questions a cluster, correlation 0.5: deff = 4.5; 40 / 4.5 = 8 questions
    assert (lost(5, 0.01).method, lost(5, 0.01).p_worse) == (METHOD, 0.5**8)
    assert (lost(2, 0.01).method, lost(2, 0.01).p_worse) == (METHOD, 0.5**3)
    assert (lost(8, 0.01).method, lost(8, 0.01).p_worse) == ("cluster_sign_flip", 0.5**8)
    assert lost(5, 0.01).low == -1.0 < lost(5, 0.01).high < -0.5


@pytest.mark.parametrize("icc", [0.15, 0.5])
def test_the_test_over_questions_keeps_its_size(icc: float) -> None:
    rng = np.random.default_rng(2)
    names = [str(i // 8) for i in range(40)]
    rejected = 0
    for _ in range(200):
        skills = rng.beta(0.8 * (1 / icc - 1), 0.2 * (1 / icc - 1), (2, 5))
        old, new = (rng.random(40) < np.repeat(skill, 8) for skill in skills)
        found = resolved(paired(old, new, names, proportion=True, higher_is_better=True), 0.01)
        rejected += found.p_worse <= 0.025
    assert rejected <= 5


def test_swaps_need_no_units() -> None:
    swaps = Swaps([], lambda signs: np.zeros(len(signs)))
    assert multiplicity.adjust({"m": Member(1.0, 1.0, swaps)}) == {"m": 1.0}


def test_holm() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never decreasing
    assert multiplicity.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert multiplicity.holm([]) == []
