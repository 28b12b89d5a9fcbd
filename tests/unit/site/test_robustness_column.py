"""A board shows what comes back under stress where any entry was tested; what was not tested says so."""

from types import SimpleNamespace

import pytest

from tests.leaderboard_documents import make_board, make_result
from unlearn_bench.schema import BeforeAfter, ModelInfo, StressInfo, StressRow
from unlearn_bench.site import _cells


def _stress(*rows):
    return StressInfo(
        versions={},
        models={"model": ModelInfo(name="m", source="folder")},
        margin=0.1,
        rows=[
            StressRow(
                stress=stress, changes="checkpoint", task="demo_kfr", role="forget", metric="kfr", n=90,
                higher_is_better=True, model=BeforeAfter(before=0.9, after=0.8), excess=excess, verdict=verdict,
            )
            for stress, excess, verdict in rows
        ],
    )  # fmt: skip


def _result(stress):
    made = make_result("demo")
    result = made[0] if isinstance(made, tuple) else made
    return result.model_copy(update={"stress": stress})


def test_the_worst_excess_and_how_many_leak():
    rows = (("quantization/nf4", 0.02, "holds"), ("prefix/<1>", 0.4, "leaks"), ("prefix/2", None, "cannot tell"))
    html, key = _cells.robustness_cell(_result(_stress(*rows)))
    assert html == "+0.40<small>prefix/&lt;1&gt;</small><small>1 of 3 leak</small>"
    assert key == 0.4


@pytest.mark.parametrize(
    ("stress", "text"), [(None, "not tested"), (_stress(("prefix/1", None, "no control")), "no control")]
)
def test_what_is_missing_says_so_and_sorts_last(stress, text):
    html, key = _cells.robustness_cell(_result(stress))
    assert html == text
    assert key > 1


def test_a_board_without_tested_entries_has_no_such_column():
    table = _cells.board_rows(make_board(), [], {}, {})
    assert not any("stress" in column["title"] for column in table["columns"])
    entry = SimpleNamespace(
        name="demo", result=_result(_stress(("prefix/1", 0.1, "leaks"))), training=None, paper=None, code=None,
        submitted="2026-01-01", verification=None,
    )  # fmt: skip
    row = SimpleNamespace(
        entry=entry,
        label="1",
        anchor=None,
        lacking=(),
        collapsed=False,
        untouched=False,
        axes={},
        asked=(),
        log=None,
        front=None,
    )
    board = make_board()
    table = _cells.board_rows(board, [row], dict.fromkeys([m.key for m in board.metrics]), {"demo": "demo.html"})
    place = [column["title"] for column in table["columns"]].index("Excess recovery under stress (lower is better)")
    assert table["rows"][0][place][1] == 0.1
    assert len(table["rows"][0]) == len(table["columns"])
