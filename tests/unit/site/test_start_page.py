"""The start page's tables and legend, and the page of which metric can be believed."""

import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import write_board, write_run
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.errors import UserError
from unlearn_bench.site import report, views

HOSTILE = "<b>x</b>"
META = {
    "schema_version": "1.0",
    "harness": {"version": "0.2"},
    "models": {"positive": ["a", "b"], "negative": ["c"], "broken": []},
    "metrics": [
        {"key": "demo/worse", "knows": "lower", "auc": 0.6, "ci95": [0.4, 0.8], "place": 2},
        {"key": HOSTILE, "knows": "lower", "auc": 0.9, "ci95": [0.8, 1.0], "place": 1, "tied": True, "broken": 0.25,
         "means": {"positive": 0.125, "negative": 0.875}, "relearning": {"symmetric": 0.5, "one_sided": 1.0},
         "published": {"auc": 0.722}},
        {"key": "demo/ls", "knows": None, "auc": 0.55},
    ],
}  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = write_board(tmp_path / "demo.json")
    for name, figures in {"demo-full": {"kfr": 2, "krr": 98}, HOSTILE: {"kfr": 55, "krr": 92}}.items():
        run = write_run(tmp_path / str(figures["kfr"]), name, **figures)
        (run.parent / "samples.jsonl").unlink()
        submit(run, path, Claim(name))
    return path


def _page(board: Path, name: str = "index.html") -> str:
    report.write_site(views.load([board]), board.parent / "site")
    return (board.parent / "site" / name).read_text(encoding="utf-8")


def test_the_start_page_holds_every_entry_with_aim_interval_and_remark(board: Path) -> None:
    page = _page(board)
    assert "KFR<small>aim: the oracle</small>" in page
    assert "KRR<small>higher is better</small>" in page
    assert "0.550<small>0.45\N{EN DASH}0.64</small>" in page
    assert "not verified" in page
    assert HOSTILE not in page
    assert "&lt;b&gt;" in page


def test_the_legend_says_how_often_the_judge_is_wrong(board: Path) -> None:
    page = _page(board)
    assert "it finds 94%, and it is right on 97% of those that do not" in page
    assert "Comes back under stress" not in page  # no entry was tested


def test_an_empty_board_has_neither_table_nor_legend(tmp_path: Path) -> None:
    page = _page(write_board(tmp_path / "demo.json"))
    assert "<table" not in page.partition("What can be compared")[0]
    assert "How to read a number" not in page


@pytest.mark.parametrize("file", ["meta.json", "table.json"])
def test_the_metrics_own_figures_are_a_page(board: Path, file: str) -> None:
    assert "which-metric" not in _page(board)
    folder = board.parent / "demo_meta"
    folder.mkdir()
    (folder / file).write_text(json.dumps(META))
    assert f'href="{report.BELIEVED}"' in _page(board)
    page = _page(board, report.BELIEVED)
    assert "2 that know, 1 that do not." in page
    assert page.index("0.900<small>0.80\N{EN DASH}1.00</small>") < page.index("0.600")  # by place
    assert "1=" in page
    assert "0.500 / 1.000" in page
    assert '<td class="num">0.722</td>' in page
    assert "Metrics that do not measure knowledge (1)" in page
    assert HOSTILE not in page


def test_the_table_of_several_pools_is_a_section_each(board: Path) -> None:
    folder = board.parent / "demo_meta"
    folder.mkdir()
    metrics = [{"metric": one["key"], **{k: v for k, v in one.items() if k != "key"}} for one in META["metrics"]]
    pool = {"models": {"positive": 4, "negative": 3}, "metrics": metrics}
    (folder / "table.json").write_text(json.dumps({"pools": {"forget": pool, "retain": pool}}))
    page = _page(board, report.BELIEVED)
    assert page.count("4 that know, 3 that do not.") == 2
    assert page.index(": forget</h2>") < page.index(": retain</h2>")


@pytest.mark.parametrize("text", ["{}", "[]", '{"metrics": [{"key": 1}]}', '{"metrics": NaN}', "{"])
def test_another_file_in_its_place_is_one_line(board: Path, text: str) -> None:
    folder = board.parent / "demo_meta"
    folder.mkdir()
    (folder / "meta.json").write_text(text)
    with pytest.raises(UserError, match=r"meta\.json"):
        _page(board)
