"""The report without a browser: escaping in every format, self-containment, vendored files."""

import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_board, write_board, write_run
from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import report
from unlearn_bench.leaderboard.submit import Claim, submit

VENDOR = Path(report.__file__).parent / "assets" / "vendor"
HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x")',
    "a|b `c` [d](javascript:e)",
    "</script><!--",
    "../../x",
]


@pytest.fixture
def inputs(tmp_path: Path) -> report.Inputs:
    board = write_board(tmp_path / "demo.json", make_board())
    names = ["demo-full", "demo-retain", *HOSTILE]
    for i, name in enumerate(names):
        path = write_run(tmp_path / f"run{i}", name, kfr=2 if i == 0 else 90 - i)
        (tmp_path / f"run{i}" / "samples.jsonl").unlink()
        submit(path, board, Claim(name, notes=name))
    loose = write_run(tmp_path / "loose", HOSTILE[0], scorer="other")
    (loose.parent / "lens.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    return report.load([board, loose.parent])


def test_pages_hold_hostile_names_as_text_and_no_address_outside(inputs: report.Inputs, tmp_path: Path) -> None:
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


def test_the_page_of_a_result_on_no_board_says_why_it_cannot_stand_there(inputs: report.Inputs, tmp_path: Path) -> None:
    (index, *_) = report.write_site(inputs, tmp_path / "site")
    assert "scorer fingerprint" in index.read_text(encoding="utf-8")


def test_markdown_and_csv(inputs: report.Inputs) -> None:
    (view,) = inputs.boards
    rows = [line for line in report.to_markdown(view).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert not re.search(r"(?<!\\)[<`\[]", "\n".join(rows))
    table = list(csv.DictReader(io.StringIO(report.to_csv(view))))
    assert len(table) == 7
    assert not any(row["model"].startswith("=") for row in table)
    full = next(row for row in table if row["model"] == "demo-full")
    assert (full["rank"], full["anchor"], full["demo_kfr/kfr"]) == ("", "original", "0.02")


def test_vendored_files_are_what_they_say_and_bring_their_licences() -> None:
    listed = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
    for item in listed:
        assert hashlib.sha256((VENDOR / item["file"]).read_bytes()).hexdigest() == item["sha256"]
        assert "MIT" in (VENDOR / item["licence_file"]).read_text() or "Permission is hereby granted" in (
            VENDOR / item["licence_file"]
        ).read_text(encoding="utf-8")
    known = {name for item in listed for name in (item["file"], item["licence_file"])} | {"vendor.json"}
    assert {path.name for path in VENDOR.iterdir()} == known


def test_the_projects_empty_boards_can_be_drawn(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "leaderboards"
    boards = [folder / f"{name}.json" for name in ("nano", "tofu", "knowundo")]
    assert len(report.write_site(report.load(boards), tmp_path / "site")) >= 4


def test_what_is_neither_board_nor_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match="schema_version"):
        report.load([tmp_path / "x.json"])
    with pytest.raises(UserError, match="a file, expected a folder"):
        report.write_site(report.Inputs(), tmp_path / "x.json")
