"""Ranking: anchors, two-sided closeness, fronts, ties, and no reward for collapse."""

import numpy as np
import pytest

from tests.leaderboard_documents import make_board, make_result, make_samples
from unlearn_bench.boards.board import Board, BoardMetric, Entry, TaskRule
from unlearn_bench.boards.ranking import AxisScore, Ranked, axis_score, dominance, fronts, rank, scales, standing
from unlearn_bench.results import result_digest
from unlearn_bench.schema import MetricValue

ANCHORS = {"demo-full": {"kfr": 2, "krr": 98}, "demo-retain": {"kfr": 94, "krr": 97}}


def _board(models: dict[str, dict], **rules: object) -> Board:
    board = make_board(**rules)
    entries = []
    for name, figures in {**ANCHORS, **models}.items():
        result = make_result(name, make_samples(**figures))
        entries.append(
            Entry(name=name, submitted="2026-01-01T00:00:00Z", result_sha256=result_digest(result), result=result)
        )
    return board.model_copy(update={"entries": entries})


def _labels(board: Board) -> dict[str, str]:
    return {row.entry.name: row.label for row in rank(board)}


def test_better_on_every_axis_ranks_first_and_ties_are_ties() -> None:
    labels = _labels(
        _board(
            {
                "good": {"kfr": 92, "krr": 95, "fluency": 0.85},
                "equal": {"kfr": 91, "krr": 95, "fluency": 0.85, "seed": 1},
                "weak": {"kfr": 50, "krr": 70, "fluency": 0.5},
            }
        )
    )
    assert labels == {"good": "1=", "equal": "1=", "weak": "3", "demo-full": "-", "demo-retain": "-"}


def test_a_partial_run_has_no_rank() -> None:
    best = {"kfr": 94, "krr": 97, "fluency": 0.9}
    board = _board({"whole": {"kfr": 80, "krr": 90}, "partial": best})
    extra = BoardMetric(key="demo_krr/fluency", label="Fluency kept", higher_is_better=True, required=False)
    board = board.model_copy(update={"metrics": [*board.metrics, extra]})
    del board.entry("partial").result.tasks["demo_krr"].metrics["fluency"]
    assert _labels(board) == {"whole": "1", "partial": "-", "demo-full": "-", "demo-retain": "-"}
    assert [row.entry.name for row in rank(board)][:2] == ["whole", "partial"]
    assert standing(board, "partial") == "incomplete, no rank: it lacks Fluency kept"
    assert standing(board, "whole") == "rank 1 of 1 ranked"
    assert "oracle" in standing(board, "demo-retain")


def test_an_axis_that_the_perplexity_model_cannot_read_ranks_nobody() -> None:
    models = {"good": {"kfr": 92, "krr": 95}, "weak": {"kfr": 50, "krr": 70}}
    board = _board(models)
    key = board.axis_metrics()["fluency"].key
    withheld = MetricValue(value=None, n=0, unscored=100, unscored_reasons={"judge_cannot_read": 100})
    task, _, metric = key.partition("/")
    for entry in board.entries:
        entry.result.tasks[task].metrics[metric] = withheld
    assert _labels(board) == {"good": "1", "weak": "2", "demo-full": "-", "demo-retain": "-"}
    assert all("fluency" not in row.axes and not row.collapsed for row in rank(board))
    board.entry("good").result.tasks[task].metrics[metric] = MetricValue(value=0.9, n=100)
    weak = next(row for row in rank(board) if row.entry.name == "weak")  # others could be read: a missing value is bad
    assert weak.collapsed


def test_a_trade_off_is_a_tie() -> None:
    forgets, keeps = {"kfr": 92, "krr": 80}, {"kfr": 50, "krr": 97}
    assert set(_labels(_board({"forgets": forgets, "keeps": keeps})).values()) == {"1=", "-"}


def test_a_collapsed_model_never_outranks_one_that_works() -> None:
    models = {
        "collapsed": {"kfr": 100, "krr": 0, "fluency": 0.02},
        "mute": {"kfr": 100, "krr": 95, "fluency": 0.0},
        "nearly collapsed": {"kfr": 100, "krr": 8, "fluency": 0.15},
        "partial": {"kfr": 30, "krr": 85, "fluency": 0.75},
        "untouched": {"kfr": 3, "krr": 98, "fluency": 0.8},
    }
    rows = {row.entry.name: row for row in rank(_board(models))}
    assert {name for name, row in rows.items() if row.collapsed} == {"mute", "collapsed"}
    assert rows["partial"].rank == 1
    for broken in ("collapsed", "mute"):
        assert rows[broken].collapsed
        assert all(rows[broken].rank > rows[name].rank for name in ("partial", "untouched", "nearly collapsed"))
    assert rows["nearly collapsed"].rank > rows["partial"].rank  # forgetting counts as far as the model still works


def test_being_more_fluent_than_the_oracle_is_no_merit() -> None:
    """Seen on nano: the never-trained model is less fluent (0.953) than the original (0.990), whose questions it cannot
    answer; an untouched model must not share the first front with one that forgot everything and kept everything.
    """
    models = {"good": {"kfr": 94, "krr": 97, "fluency": 0.90}, "untouched": {"kfr": 2, "krr": 98, "fluency": 0.97}}
    board = _board(models)
    fluency = {"demo-full": 0.97, "demo-retain": 0.90}
    entries = [
        e.model_copy(update={"result": make_result(e.name, make_samples(**ANCHORS[e.name], fluency=fluency[e.name]))})
        if e.name in fluency
        else e
        for e in board.entries
    ]
    rows = {row.entry.name: row for row in rank(board.model_copy(update={"entries": entries}))}
    assert (rows["good"].label, rows["untouched"].label) == ("1", "2")
    assert [name for name, row in rows.items() if row.untouched] == ["untouched"]


def test_over_unlearning_is_flagged_and_earns_nothing() -> None:
    board = _board({"over": {"kfr": 100, "krr": 95}, "exact": {"kfr": 94, "krr": 95}})
    board = board.model_copy(update={"entries": [_more_forgotten(e, "demo-retain", 60) for e in board.entries]})
    rows = {row.entry.name: row for row in rank(board)}
    # anchors: full 0.02, retain 0.60; a KFR of 1.00 is 0.98 / 0.58 = 1.69 of the way: closeness 1 - 0.69 = 0.31
    over = rows["over"].axes["forgetting"]
    assert over.over
    assert over.normalised == pytest.approx(0.98 / 0.58)
    assert over.value == pytest.approx(1 - (0.98 / 0.58 - 1))


def _more_forgotten(entry: Entry, name: str, kfr: int) -> Entry:
    if entry.name != name:
        return entry
    return entry.model_copy(update={"result": make_result(name, make_samples(kfr=kfr, krr=97))})


def test_normalisation_needs_anchors_that_differ() -> None:
    board = _board({})
    known = scales(board)
    assert known["demo_kfr/kfr"].normalise(0.94) == pytest.approx(1.0)
    assert known["demo_kfr/kfr"].normalise(0.02) == pytest.approx(0.0)
    assert known["demo_krr/krr"].normalise(0.9) is None  # 0.98 and 0.97 say nothing about scale
    assert scales(make_board())["demo_kfr/kfr"].normalise(0.9) is None


def test_lower_is_better_and_undefined_values() -> None:
    metric = BoardMetric(key="t/leak", label="Leak", axis="retention", higher_is_better=False)
    board = Board(benchmark="x", title="x", description="x", tasks={"t": TaskRule(split="retain")}, metrics=[metric])
    scale = scales(board)["t/leak"]
    assert axis_score(MetricValue(value=0.2, n=1, higher_is_better=False), scale).value == pytest.approx(0.8)
    assert axis_score(MetricValue(value=None, n=0), scale).value == 0
    assert axis_score(None, scale).value == 0


def _exact(**axes: float) -> dict[str, AxisScore]:
    return {name: AxisScore(v, v, v, v, None, over=False) for name, v in axes.items()}


def test_noise_can_make_a_circle_which_is_one_tie() -> None:
    def model(*values: float) -> dict[str, AxisScore]:
        names = ("forgetting", "retention", "fluency")
        return {n: AxisScore(v, v - 0.1, v + 0.1, v, None, over=False) for n, v in zip(names, values, strict=True)}

    circle = [model(0.5, 0.4, 0.6), model(0.3, 0.5, 0.5), model(0.4, 0.6, 0.4)]
    beats = dominance(circle)
    assert not beats.diagonal().any()
    assert fronts([*circle, model(0.05, 0.05, 0.05)])[-1] == [3]


def test_fronts_equal_a_slow_definition() -> None:
    """Without noise: front k holds what only members of earlier fronts beat (non-dominated sorting, by brute force)."""
    rng = np.random.default_rng(0)
    models = [_exact(forgetting=a, retention=b, fluency=c) for a, b, c in rng.integers(0, 6, (60, 3)) / 5]
    left, expected = set(range(60)), []
    while left:
        top = {i for i in left if not any(_beats(models[j], models[i]) for j in left)}
        expected.append(sorted(top))
        left -= top
    assert [sorted(front) for front in fronts(models)] == expected


def _beats(a: dict[str, AxisScore], b: dict[str, AxisScore]) -> bool:
    pairs = [(a[x].value, b[x].value) for x in a]
    return all(p >= q for p, q in pairs) and any(p > q for p, q in pairs)


# SemEval-2025 Task 4 (arXiv 2504.02883 and the task's site): task aggregate, membership score, MMLU. The final score is
# their mean, so the third follows from the printed final score and the other two where it is not printed.
PUBLISHED = {
    "gil-iimas (1B)": (0.0, 0.98, 3 * 0.416 - 0.98),
    "seventh (1B)": (0.955, 0.039, 3 * 0.412 - 0.955 - 0.039),
    "gradient ascent": (0.0, 0.912, 0.269),
    "ails-ntua (7B)": (0.827, 0.847, 0.443),
    "zjuklab (7B)": (0.944, 0.048, 0.471),
}


def _semeval(rows: dict[str, tuple[float, float, float]]) -> list[Ranked]:
    """The board's own ranking, with the task aggregate as what the model still does, MMLU as its general ability."""
    board = Board(
        benchmark="semeval",
        title="SemEval-2025 Task 4",
        description="Published figures.",
        tasks={"t": TaskRule(split="forget")},
        metrics=[
            BoardMetric(key="t/mia", label="MIA", axis="forgetting", higher_is_better=True),
            BoardMetric(key="t/task", label="Task aggregate", axis="retention", higher_is_better=True),
            BoardMetric(key="t/mmlu", label="MMLU", axis="fluency", higher_is_better=True),
        ],
    )
    entries = []
    for name, (task, mia, mmlu) in rows.items():
        result = make_result(name, make_samples(n=10))
        template = result.tasks.pop("demo_kfr")
        result.tasks.pop("demo_krr")
        template.metrics = {
            key: MetricValue(value=value, n=1, higher_is_better=True)
            for key, value in (("mia", mia), ("task", task), ("mmlu", mmlu))
        }
        result.tasks["t"] = template
        entries.append(Entry(name=name, submitted="2025-01-01T00:00:00Z", result_sha256="0" * 64, result=result))
    return rank(board.model_copy(update={"entries": entries}))


def test_the_published_sum_ranks_collapse_above_work_and_fronts_do_not() -> None:
    finals = {name: sum(values) / 3 for name, values in PUBLISHED.items()}
    assert finals["gil-iimas (1B)"] > finals["seventh (1B)"]  # 0.416 and 0.412: what the sum does
    rows = {row.entry.name: row for row in _semeval(PUBLISHED)}
    assert rows["ails-ntua (7B)"].rank == 1
    for broken in ("gil-iimas (1B)", "gradient ascent"):
        assert rows[broken].collapsed
        for working in ("seventh (1B)", "ails-ntua (7B)", "zjuklab (7B)"):
            assert rows[broken].rank > rows[working].rank


def test_gradient_ascent_falls_behind_npo_however_its_final_score_is_made_up() -> None:
    """NPO's final score is 0.188; with any task aggregate above 0.01 it stands before gradient ascent's 0.394."""
    for task in (0.011, 0.05, 0.1, 0.2):
        for mmlu in (0.0101, 0.1, 0.3, 3 * 0.188 - task):
            npo = (task, 3 * 0.188 - task - mmlu, mmlu)
            rows = {row.entry.name: row for row in _semeval({**PUBLISHED, "npo": npo})}
            assert rows["npo"].rank < rows["gradient ascent"].rank


def test_adding_an_unrelated_model_changes_no_order() -> None:
    models = {"a": {"kfr": 90, "krr": 90}, "b": {"kfr": 50, "krr": 60}}
    before = _labels(_board(models))
    after = _labels(_board({**models, "c": {"kfr": 5, "krr": 5, "fluency": 0.1}}))
    assert {k: after[k] for k in before} == before
