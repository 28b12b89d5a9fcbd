"""No text of a board is anything but text in what the leaderboard writes: every string field, in every format."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import lxml.html
import pytest
from markdown_it import MarkdownIt
from pydantic import ValidationError

from tests.leaderboard_documents import make_board, make_result, make_samples, samples_text
from unlearn_bench.boards.board import Board, Entry, Training, past_of
from unlearn_bench.results import result_digest
from unlearn_bench.results.plausible import Problem
from unlearn_bench.schema import Result, Sample
from unlearn_bench.site import report, report_text, views
from unlearn_bench.untrusted.escape import csv_text, line

pytestmark = pytest.mark.slow

HTML = "\"'><pwn onclick=pwn()>x</pwn><script>pwn()</script><!--"
PAYLOADS = [
    HTML,
    "=1+pwn",
    "\uff1d1+pwn",
    "$x^2$ pwn",
    "![pwn](javascript:pwn)|`pwn`",
    "**pwn** \\textbf{pwn} %pwn & #",
]


def _leaves(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The place of every string of a document; of every dictionary too, for a key of one's own."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, number))
    elif isinstance(value, dict):
        yield (*path, None)
        for key, item in value.items():
            yield from _leaves(item, (*path, key))


def _put(document: dict, path: tuple, payload: str) -> bool:
    """Put the payload in one place; False if that place takes no such text."""
    *parents, last = path
    for key in parents:
        document = document[key]
    if last is None:
        if not document:
            return False
        document[payload] = next(iter(document.values()))
    else:
        document[last] = payload
    return True


def _hostile(kind: type, document: dict, payload: str, spared: frozenset[str]) -> tuple[dict, int]:
    """The document with the payload in every place where the schema takes it."""
    placed = 0
    for path in list(_leaves(document)):
        if any(part in spared for part in path):
            continue
        trial = json.loads(json.dumps(document))
        if _put(trial, path, payload):
            try:
                kind.model_validate(trial)
            except (ValidationError, KeyError):
                continue
            document, placed = trial, placed + 1
    return document, placed


@pytest.fixture(params=PAYLOADS, ids=range(len(PAYLOADS)))
def payload(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def inputs(tmp_path: Path, payload: str) -> views.Inputs:
    """A board and a result on no board, their texts replaced; the rows' samples are beside them."""
    samples = make_samples(n=3, kfr=2, krr=2)
    hostile = [
        Sample.model_validate(_hostile(Sample, s.model_dump(mode="json"), payload, frozenset({"task", "id"}))[0])
        for s in samples
    ]
    board = make_board()
    entries = []
    for name in ("demo-full", "demo-retain", payload[:100]):
        result = make_result(name, samples)
        result.run["note"], result.notes = "text", ["a note"]
        result.other = {"stock": {"acc": 0.5}}
        entry = Entry(
            name=name,
            submitted="2026-01-01T00:00:00Z",
            submitter="me",
            notes="notes",
            paper="https://example.org/p",
            training=Training(method="ga", hyperparameters={"lr": "1"}, trainer="t", base_model="b"),
            result_sha256=result_digest(result),
            result=result,
        )
        past = past_of(entry, board, replaced=entry.submitted, because="why")
        entries.append(entry.model_copy(update={"history": [past]}))
    document = board.model_copy(update={"entries": entries}).model_dump(mode="json")
    spared = frozenset({"name", "task", "benchmark", "original", "oracle", "key", "samples_sha256"})
    document, placed = _hostile(Board, document, payload, spared)
    assert placed > 60, placed
    board = Board.model_validate(document)
    folder = tmp_path / "run"
    folder.mkdir()
    loose, _ = _hostile(Result, make_result("x", samples).model_dump(mode="json"), payload, frozenset({"tasks"}))
    loose["samples_sha256"] = None
    (folder / "samples.jsonl").write_text(samples_text(hostile), encoding="utf-8")
    result = Result.model_validate(loose)
    found = views.Inputs(boards=[views.view(board, tmp_path / "demo.json")])
    found.loose.append(views.Loose(payload, result, result_digest(result), folder, folder / "samples.jsonl"))
    return found


def test_pages_hold_no_element_and_no_address_of_the_payload(
    inputs: views.Inputs, tmp_path: Path, payload: str
) -> None:
    for page in report.write_site(inputs, tmp_path / "site"):
        tree = lxml.html.fromstring(page.read_text(encoding="utf-8"))
        fragments = [tree]
        for script in tree.iter("script"):
            if script.get("type") == "application/json":
                fragments += [lxml.html.fragment_fromstring(cell, create_parent="td") for cell in _cells(script.text)]
            else:
                assert not script.text, "a script of its own"
        for fragment in fragments:
            for element in fragment.iter():
                assert isinstance(element.tag, str), "a comment"
                assert element.tag != "pwn"
                assert not any(name.startswith("on") for name in element.keys())  # noqa: SIM118
                for name in ("href", "src"):
                    assert "pwn" not in (element.get(name) or "") or element.get(name).startswith("entries/")
        assert all(column not in page.read_text(encoding="utf-8") for column in ("<pwn", "<!--"))


def _cells(text: str) -> list[str]:
    """What the page's script puts in as HTML: cells, and the texts of plots."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, str):
            found.append(value)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    document = json.loads(text)
    walk([cell[0] for row in document.get("rows", ()) for cell in row])  # beside it the sort key, which is not shown
    walk([document.get("data"), document.get("layout")])
    return found


def test_markdown_is_a_table_of_text(inputs: views.Inputs) -> None:
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(report_text.write(inputs, "md"))
    tags = {element.tag for element in lxml.html.fromstring(f"<div>{rendered}</div>").iter()}
    assert tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    tree = lxml.html.fromstring(f"<div>{rendered}</div>")
    assert not [e for e in tree.iter("strong") if e.getparent().tag != "p"]
    assert len({len(row) for table in tree.iter("table") for row in table.iter("tr")}) <= 2
    assert not re.search(r"(?<!\\)\$", report_text.write(inputs, "md"))


def test_csv_holds_no_formula_and_latex_no_command(inputs: views.Inputs) -> None:
    for part in (report_text.to_csv(inputs.boards[0]), report_text.results_to_csv([("a", inputs.loose[0].result)])):
        rows = list(csv.reader(io.StringIO(part)))
        assert len({len(row) for row in rows}) == 1
        for cell in (cell for row in rows for cell in row):
            assert not re.match(r"\s*[=+@\uff1d\uff0b\uff20]|\s*-(?![\d.])", cell)
    latex = report_text.write(inputs, "latex")
    assert "pwn" in latex
    for bare in (r"(?<!\\)\$", r"\\textbf", r"(?<!\\)%(?! needs)"):
        assert not re.search(bare, latex), bare


@pytest.mark.parametrize("text", ["::error::pwn", " ::add-mask::pwn", "\u202e::x", "a\n::error::x", "##[error]x"])
def test_a_line_of_a_log_is_no_command(text: str) -> None:
    for shown in (line(text), str(Problem("row", text))):
        assert "\n" not in shown
        assert "\u202e" not in shown
        assert "##[" not in shown
        assert not shown.lstrip().startswith("::")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "\uff0b1", "\uff0d1", "\uff20x"])
def test_what_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert csv_text(text).startswith("'")
