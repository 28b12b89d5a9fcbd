"""Places between original and oracle: the line, its interval, the flag, and what cannot be placed."""

from pathlib import Path

import pytest

from tests.unit.harness.test_score_oracle import log
from unlearn_bench.cli import main
from unlearn_bench.harness.score import ScoreSpec, score
from unlearn_bench.result_table import place_lines, table_rows
from unlearn_bench.results.place import place
from unlearn_bench.schema import MetricValue


def value(number: float | None, half: float = 0.02) -> MetricValue:
    ends = None if number is None else (number - half, number + half)
    return MetricValue(value=number, ci95=ends, n=100 if ends else 0)


def test_ends_and_middle_of_the_line() -> None:
    original, oracle = value(0.1), value(0.9)
    found = [place(value(v), original, oracle, "forget").value for v in (0.1, 0.5, 0.9)]
    assert found == pytest.approx([0.0, 0.5, 1.0])
    middle = place(value(0.5), original, oracle, "forget")
    assert middle.ci95[0] < 0.5 < middle.ci95[1]
    assert middle.ci95[1] - middle.ci95[0] == pytest.approx(2 * (0.02**2 * 1.5) ** 0.5 / 0.8)
    falling = place(value(0.3), value(0.9), value(0.1), "forget")
    assert falling.value == pytest.approx(0.75)


def test_beyond_the_oracle_is_flagged_on_forget_rows_and_beyond_noise() -> None:
    original, oracle = value(0.1), value(0.88)
    assert place(value(1.0), original, oracle, "forget").over_forgotten
    assert not place(value(0.89), original, oracle, "forget").over_forgotten
    assert not place(value(1.0), original, oracle, "retain").over_forgotten
    assert not place(value(0.7), original, oracle, "forget").over_forgotten


def test_no_line_where_the_ends_do_not_differ() -> None:
    found = place(value(0.5), value(0.80), value(0.81), "retain")
    assert (found.value, found.original, found.oracle) == (None, 0.80, 0.81)
    assert place(value(None), value(0.1), value(0.9), "forget") is None
    assert place(value(0.5), value(0.1), value(None), "forget") is None


def test_score_places_numbers_between_two_logs(tmp_path: Path) -> None:
    model, original, oracle = (log(tmp_path / f"{s}_EVAL.json", s) for s in (1.0, 0.0, 2.0))
    result = score(ScoreSpec((model,), original=original, oracle=oracle)).result
    loss = result.tasks["forget_Q_A"].metrics["loss"]
    assert loss.place.value == pytest.approx(0.5)
    assert (loss.place.original, loss.place.oracle) == pytest.approx((1.0, 2 + 1.0), abs=0.1)
    assert any(row[0] == "  place" for row in table_rows(result)["forget_Q_A"])
    (told,) = place_lines(result)
    assert told.startswith("place: 0 is the original, 1 the oracle")
    alone = score(ScoreSpec((model,))).result
    assert place_lines(alone) == [
        "where the values stand between original (0) and oracle (1) is not known: pass --original and --oracle"
    ]
    half = score(ScoreSpec((model,), oracle=oracle)).result
    assert place_lines(half) == [
        "where the values stand between original (0) and oracle (1) is not known: pass --original"
    ]


def test_a_model_that_forgot_more_than_the_oracle_is_named(tmp_path: Path) -> None:
    model, original, oracle = (log(tmp_path / f"{s}_EVAL.json", s) for s in (6.0, 0.0, 1.5))
    result = score(ScoreSpec((model,), original=original, oracle=oracle)).result
    assert result.tasks["forget_Q_A"].metrics["loss"].place.over_forgotten
    assert "over-forgotten, beyond the noise: forget_Q_A/" in place_lines(result)[0]


def test_a_row_of_a_board_that_was_asked_other_rows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Path(__file__).parents[2] / "leaderboards" / "nano.json"
    command = ["score", str(log(tmp_path / "model_EVAL.json")), "--metrics", "rouge"]
    assert main([*command, "--oracle", f"{board}#nano-retain"]) == 2
    assert "it was not asked as the model was" in capsys.readouterr().err
    assert main([*command, "--oracle", f"{board}#nano-retian"]) == 2
    assert "did you mean nano-retain" in capsys.readouterr().err
