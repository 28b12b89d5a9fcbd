"""The report without a browser: escaping in every format, self-containment, vendored files."""

import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_board, make_samples, write_board, write_run
from unlearn_bench.boards.board import Training
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.errors import UserError
from unlearn_bench.site import _cells, _entry_page, report, report_text, views

VENDOR = Path(report.__file__).parent / "assets" / "vendor"
HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x")',
    "a|b `c` [d](javascript:e)",
    "</script><!--",
    "../../x",
]


@pytest.fixture
def inputs(tmp_path: Path) -> views.Inputs:
    board = write_board(tmp_path / "demo.json", make_board())
    names = ["demo-full", "demo-retain", *HOSTILE]
    for i, name in enumerate(names):
        path = write_run(tmp_path / f"run{i}", name, kfr=2 if i == 0 else 90 - i)
        (tmp_path / f"run{i}" / "samples.jsonl").unlink()
        submit(path, board, Claim(name, notes=name))
    loose = write_run(tmp_path / "loose", HOSTILE[0], scorer="other")
    (loose.parent / "lens.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    return views.load([board, loose.parent])


def test_pages_hold_hostile_names_as_text_and_no_address_outside(inputs: views.Inputs, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pages = report.write_site(inputs, site)
    assert len(pages) == 1 + 1 + 7 + 1
    assert {p.resolve().parent for p in pages} == {site.resolve(), (site / "entries").resolve()}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<!--" not in text
        assert len(re.findall(r"<script", text)) == len(re.findall(r"</script>", text))
        for address in re.findall(r'(?:src|href)="([^"]*)"', text):
            assert re.match(r"(?!//)([\w./#-]+|data:(,|image/(svg\+xml|png);base64,.*))$", address), address
        for name in re.findall(r'(?:src|href)="([\w./-]+)"', text):
            assert (page.parent / name).is_file(), name


def test_the_page_of_a_result_on_no_board_says_why_it_cannot_stand_there(inputs: views.Inputs, tmp_path: Path) -> None:
    (index, *_) = report.write_site(inputs, tmp_path / "site")
    assert "unlike the board&#39;s scorers" in index.read_text(encoding="utf-8")


def test_markdown_and_csv(inputs: views.Inputs) -> None:
    (view,) = inputs.boards
    rows = [line for line in report_text.to_markdown(view).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert not re.search(r"(?<!\\)[<`\[]", "\n".join(rows))
    table = list(csv.DictReader(io.StringIO(report_text.to_csv(view))))
    assert len(table) == 7
    assert not any(row["model"].startswith("=") for row in table)
    full = next(row for row in table if row["model"] == "demo-full")
    assert (full["rank"], full["anchor"], full["demo_kfr/kfr"]) == ("", "original", "0.02")


def _seeded(tmp_path: Path) -> views.BoardView:
    """Three seeds of ga, two of npo under another naming, one npo with other settings, one entry without a record."""
    board = write_board(tmp_path / "demo.json", make_board())
    runs = [
        ("demo-full", 2, 98, None), ("demo-retain", 95, 97, None), ("relearn", 90, 95, None),
        ("ga, seed 10", 60, 50, Training(method="ga", seed=10)),
        ("ga, seed 11", 70, 40, Training(method="ga", seed=11)),
        ("ga, seed 2", 80, 60, Training(method="ga", seed=2)),
        ("npo-s0", 80, 80, Training(method="npo", seed=0)), ("npo-s1", 80, 90, Training(method="npo", seed=1)),
        ("npo-lr-s0", 70, 85, Training(method="npo", seed=0, hyperparameters={"lr": 1e-3})),
    ]  # fmt: skip
    for name, kfr, krr, training in runs:
        path = write_run(tmp_path / name, name, kfr=kfr, krr=krr)
        path.with_name("samples.jsonl").unlink()
        submit(path, board, Claim(name, training=training))
    return views.load([board]).boards[0]


def test_a_table_of_results_says_which_of_them_asked_only_some_questions(inputs: views.Inputs) -> None:
    whole = inputs.loose[0].result
    short = whole.model_copy(update={"run": {**whole.run, "limit": 4}})
    assert "--limit" not in report_text.results_to_markdown([("whole", whole)])
    for table in (report_text.results_to_markdown, report_text.results_to_latex):
        assert "short was asked only some questions (--limit 4)." in table([("whole", whole), ("short", short)])


def test_names_break_after_signs_only() -> None:
    assert _cells.breakable("a/b_<c>+d") == "a/<wbr>b_<wbr>&lt;c&gt;+<wbr>d"


def test_seeds_of_a_method_stand_together_and_not_for_their_best(tmp_path: Path) -> None:
    view = _seeded(tmp_path)
    found = {method.name: method for method in view.methods}
    assert set(found) == {"demo-full", "demo-retain", "relearn", "ga", "npo", "npo-lr-s0"}
    assert [row.entry.name for row in found["ga"].rows] == ["ga, seed 2", "ga, seed 10", "ga, seed 11"]
    assert found["ga"].spread("demo_kfr/kfr") == pytest.approx((0.7, 0.6, 0.8))
    assert {method.name for method in view.methods[-2:]} == {"demo-full", "demo-retain"}  # anchors last

    lines = report_text.to_markdown(view).splitlines()
    (ga,) = [line for line in lines if line.startswith("|") and " ga," in line]
    assert "| ga, 3 seeds | 0.700 (0.600 to 0.800) | 0.500 (0.400 to 0.600) |" in ga
    assert any("| relearn | 0.900 (0.826 to 0.945) |" in line for line in lines)  # Wilson's interval of 90 of 100
    table = list(csv.DictReader(io.StringIO(report_text.to_csv(view))))
    assert {(row["method"], row["seed"]) for row in table if row["model"].startswith("npo")} == {
        ("npo", "0"), ("npo", "1"), ("npo-lr-s0", "0"),
    }  # fmt: skip

    report.write_site(views.Inputs(boards=[view]), tmp_path / "site")
    page = (tmp_path / "site" / "demo.html").read_text(encoding="utf-8")
    assert "Methods over their seeds" in page
    (entry,) = (tmp_path / "site" / "entries").glob("demo-npo-s1-*.html")
    text = entry.read_text(encoding="utf-8")
    assert "One of 2 seeds of npo; mean over them (lowest to highest): KFR 0.800 (0.800 to 0.800)" in text
    assert ">npo-s0</a>" in text


def test_a_seed_without_a_value_leaves_no_mean(tmp_path: Path) -> None:
    (npo,) = [method for method in _seeded(tmp_path).methods if method.name == "npo"]
    npo.rows[0].entry.result.tasks["demo_kfr"].metrics["kfr"].value = None
    assert npo.spread("demo_kfr/kfr") is None


def test_the_histogram_counts_shares_of_each_task() -> None:
    samples = make_samples(n=4)
    for sample, fluency in zip(samples, [0.0, 0.05, 0.95, 1.0, 0.5, 0.5, 0.5, 0.5], strict=True):
        sample.scores["fluency"] = fluency
    kfr, krr = _entry_page.histogram(samples)["data"]
    assert kfr["y"] == [0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]
    assert krr["y"] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert (kfr["type"], kfr["x"][0]) == ("bar", 0.05)


def test_vendored_files_are_what_they_say_and_bring_their_licences() -> None:
    listed = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
    for item in listed:
        assert hashlib.sha256((VENDOR / item["file"]).read_bytes()).hexdigest() == item["sha256"]
        assert "MIT" in (VENDOR / item["licence_file"]).read_text() or "Permission is hereby granted" in (
            VENDOR / item["licence_file"]
        ).read_text(encoding="utf-8")
    known = {name for item in listed for name in (item["file"], item["licence_file"])} | {"vendor.json"}
    assert {path.name for path in VENDOR.iterdir()} == known


@pytest.mark.slow
def test_the_projects_empty_boards_can_be_drawn(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "leaderboards"
    boards = [folder / f"{name}.json" for name in ("tofu", "knowundo")]
    assert len(report.write_site(views.load(boards), tmp_path / "site")) >= 3


def test_what_is_neither_board_nor_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match="schema_version"):
        views.load([tmp_path / "x.json"])
    with pytest.raises(UserError, match="a file, expected a folder"):
        report.write_site(views.Inputs(), tmp_path / "x.json")


def test_two_entries_of_a_name_are_refused_with_the_next_step(inputs: views.Inputs, tmp_path: Path) -> None:
    board = inputs.boards[0].board
    twice = board.model_copy(update={"entries": [*board.entries, board.entries[0]]})
    with pytest.raises(UserError, match="2 entries are called") as refused:
        views.view(twice, tmp_path / "board.json")
    assert "verify" in refused.value.hint


@pytest.mark.parametrize(("value", "words"), [(7.0, "cannot be true"), (0.5, "does not follow from its samples")])
def test_an_edited_number_makes_no_page(tmp_path: Path, value: float, words: str) -> None:
    path = write_run(tmp_path / "run")
    result = json.loads(path.read_text())
    result["tasks"]["demo_kfr"]["metrics"]["kfr"].update(value=value, ci95=None)
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match=words):
        views.load([path])
