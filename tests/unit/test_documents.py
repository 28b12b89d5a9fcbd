"""What the documents say: every command parses and is run or says why not, and figures are those of their files."""

import argparse
import contextlib
import io
import json
import re
import shlex
import subprocess
from configparser import ConfigParser
from functools import cache
from itertools import takewhile

import pytest

from tests.documents import (
    DOCUMENTS,
    REASONS,
    ROOT,
    Block,
    Command,
    block_commands,
    commands,
    help_commands,
    missing,
    prose,
)
from tests.documents import refreshed as refresh

ALL = [*(c for document in DOCUMENTS for c in commands(document)), *help_commands()]


def test_commands_are_found_in_every_document():
    without = {"CONTRIBUTING.md", "docs/metrics.md", "docs/nano.md", "docs/python.md"}
    assert {c.place.partition(":")[0] for c in ALL} >= {*DOCUMENTS} - without
    assert len(help_commands()) > 20


@pytest.mark.parametrize("command", ALL, ids=lambda c: f"{c.place} {c.text[:40]}")
def test_command_is_run_or_says_why_not(command):
    program = command.text.split()[0].partition("=")[0]
    if command.reason is not None:
        assert any(command.reason.startswith(reason) for reason in REASONS), command.reason
    else:
        assert program in ("unlearn-bench", "make", "cat"), f"{command.place}: a test runs no {program}; say why not"
    assert "…" not in command.text or command.reason, f"{command.place}: incomplete, so it cannot be run"


@cache
def _parser() -> argparse.ArgumentParser:
    from unlearn_bench.cli import build_parser

    return build_parser()


OURS = [c for c in ALL if c.text.startswith("unlearn-bench")]


@pytest.mark.parametrize("command", OURS, ids=lambda c: f"{c.place} {c.text[:60]}")
def test_command_parses(command):
    """Also those that are not run: their verbs and options are there, and take such values."""
    arguments = [word for word in shlex.split(command.text)[1:] if word != "…"]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            _parser().parse_args(arguments)
        except SystemExit as error:
            pytest.fail(f"{command.place}: exit {error.code}: {said.getvalue()}")


@pytest.mark.parametrize("command", [c for c in ALL if c.text.startswith("make ")], ids=lambda c: c.text)
def test_make_knows_the_target(command):
    done = subprocess.run(
        ["make", "--dry-run", *command.text.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ci_calls_the_test_command_of_the_readme():
    ci = (ROOT / ".ci/run").read_text().splitlines()
    assert "make test" in ci
    assert any(c.text == "make test" for c in commands("README.md"))


# Columns that a page names otherwise than the file does.
SHORT = {
    "degen. F": "degenerate F",
    "bf16": "precision/bfloat16",
    "nf4": "quantization/nf4",
    "NF4": "quantization/nf4",
    "int4": "quantization/int4",
    "in other words": "questions/paraphrase",
    "first word given": "prefix/1",
    "one word": "prefix/1",
    "16 steps on 8 rows": "relearning/forget8_s16",
    "16 steps": "relearning/forget8_s16",
    "one of 4 draws": "sampling/t1_few@4",
    "rank": "of the answer",
}
NANO, SMOL = (f"leaderboards/{name}_table/table.md" for name in ("nano", "smol"))


@pytest.mark.parametrize(
    ("page", "head", "file", "least"),
    [
        ("docs/nano.md", "| method | KFR |", NANO, 32),
        ("docs/nano.md", "| method | prob F |", NANO, 32),
        ("docs/nano.md", "| method | bf16 |", NANO, 31),
        ("README.md", "| method | KFR |", NANO, 12),
        ("docs/smol.md", "| method | KFR |", SMOL, 16),
        ("docs/smol.md", "| method | UDS |", SMOL, 8),
        ("README.md", "| on SmolLM2-135M |", SMOL, 16),
    ],
)
def test_a_table_of_methods_is_that_of_its_file(page: str, head: str, file: str, least: int):
    rows, shown = file_table(file), shown_table(page, head)
    assert len(shown) >= least
    for (_, name), *cells in (row.items() for row in shown):
        for title, text in cells:  # a page may leave the interval over seeds to the file
            number = rows[name][SHORT.get(title, title)]
            told = text.strip("*").removeprefix("+")
            assert told in (number, number.partition(" ± ")[0]), f"{title} of {name} on {page}"


def shown_table(page: str, begins: str) -> list[dict[str, str]]:
    """The rows of a page's table, by the names of its columns."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(begins))
    table = takewhile(lambda line: line.startswith("|"), lines[start:])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def file_table(path: str) -> dict[str, dict[str, str]]:
    """Method to the numbers of a table.md: of all its tables but that of places, whose columns are named alike."""
    text = (ROOT / path).read_text(encoding="utf-8")
    rows: dict[str, dict[str, str]] = {}
    for section in text.split("\n## ")[1:]:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        for row in () if section.startswith("Between") else body:
            rows.setdefault(row[0], {}).update(zip(head, row, strict=True))
    return rows


def agreement_claims() -> dict[str, list[float]]:
    """What docs/metrics.md says of the judge's agreement with a reader, as a pattern, and what its file says."""
    figures = json.loads((ROOT / "unlearn_bench/evidence/data/agreement.json").read_text(encoding="utf-8"))["figures"]
    every, old = figures["all"], figures["golden"]
    left_out = [part["balanced_accuracy"] for part in figures["left_out"].values()]
    return {
        r"On (\d+) answers of full": [every["known"] + every["not_known"]],
        r"balanced accuracy is ([\d.]+) \(sensitivity ([\d.]+), specificity ([\d.]+)\)": [
            every["balanced_accuracy"],
            every["sensitivity"],
            every["specificity"],
        ],
        r"([\d.]+) on unlearned models alone": [figures["unlearned"]["balanced_accuracy"]],
        r"([\d.]+) to ([\d.]+) with a whole benchmark left out": [min(left_out), max(left_out)],
        r"on (\d+) older labels .{0,60}? it is ([\d.]+)\.": [old["known"] + old["not_known"], old["balanced_accuracy"]],
    }


def test_figures_of_the_judge_are_those_of_its_file():
    text = prose()
    for pattern, values in agreement_claims().items():
        found = re.search(pattern, text)
        assert found, f"no page says anything like {pattern}"
        assert [_as_printed(value, shown) for value, shown in zip(values, found.groups(), strict=True)] == list(
            found.groups()
        )


def _as_printed(value: float, shown: str) -> str:
    """The value with as many digits as are shown."""
    return f"{value:.{len(shown.partition('.')[2])}f}"


def test_counts_of_nano_are_those_of_its_data():
    from unlearn_bench.nano.corpus import corpus

    text = prose()
    people, questions = map(int, re.search(r"(\d+) fictitious people, (\d+) questions", text).groups())
    assert questions == len(corpus())
    assert people == len({row.cluster for row in corpus() if row.role in ("forget", "retain", "holdout")})


def test_versions_in_prose_are_those_pinned():
    text = prose()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.M))
    named = re.findall(r"([\w-]+)==([\d.]+)", text)
    assert named
    assert all(pins[name] == version for name, version in named)


def test_extras_in_prose_are_those_of_the_package():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    named = re.findall(r"`\[([a-z0-9]+)\]`", prose())
    assert set(named) == set(config["options.extras_require"])


def test_lists_of_names_in_prose_are_whole():
    from unlearn_bench import nano
    from unlearn_bench.evidence.profiles import PROFILES

    text = prose()
    assert all(f"`{name}`" in text for name in nano.EMBEDDED)
    assert all(f"| `{profile}`" in text for profile in PROFILES)


OF_OTHER_PROGRAMS = {"--include_path", "--no-deps", "--runslow", "--runbenchmarks", "--nproc-per-node"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_in_prose_are_there(document):
    from unlearn_bench.cli import build_parser

    verbs = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices.values()
    parsers = [*verbs, *(p for v in verbs for a in v._actions if isinstance(a, argparse._SubParsersAction)
                         for p in a.choices.values())]  # fmt: skip
    known = {option for parser in parsers for option in parser._option_string_actions}
    named = {option for span in spans(document) for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    assert named - known <= OF_OTHER_PROGRAMS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_in_prose_are_there(document):
    folders = (ROOT, ROOT / "unlearn_bench", ROOT / "leaderboards")
    pattern = r"[\w.-]+(?:/[\w.-]+)+\.(?:py|json|yaml|yml|md|cfg)|[\w.-]+/(?:[\w.-]+/)*"
    named = {span for span in spans(document) if re.fullmatch(pattern, span)}
    assert named or document not in ("docs/metrics.md", "leaderboards/README.md")
    made = {"site/", "diagnostics/", "out/", "results/"}
    named = {name for name in named if not name.startswith("DIR/")}
    missing_files = {name for name in named if not any((folder / name).exists() for folder in folders)}
    assert missing_files <= made


def spans(document: str) -> list[str]:
    """What stands between back quotes outside of fenced blocks."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.S | re.M)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def test_contributing_names_every_room():
    from tests.unit.test_house import ALLOWED

    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## How the house is built")[2].partition("| you want to add |")[0]
    rooms = {room.partition(".")[0] for room in ALLOWED}
    named = set(re.findall(r"`([a-z_]+)`", section))
    small = {"result_table", "result_words", "tasks_index", "glossary", "llm"}  # one module each, or named in passing
    assert rooms - named <= small
    assert {name for name in named if (ROOT / "unlearn_bench" / name).is_dir()} <= rooms


def test_a_new_command_needs_a_run_or_a_reason():
    block = Block("X.md", "", 1, ("unlearn-bench tasks", "# not run: needs a GPU", "torchrun x", "vllm serve"))
    assert [c.reason for c in block_commands(block)] == [None, "needs a GPU", "needs a GPU"]
    block = Block("X.md", "", 1, ("curl x  # not run: needs a server", "curl y", "curl z \\", "  --a  # a comment"))
    assert [(c.text, c.reason) for c in block_commands(block)] == [
        ("curl x", "needs a server"),
        ("curl y", None),
        ("curl z --a", None),
    ]
    with pytest.raises(AssertionError, match="say why not"):
        test_command_is_run_or_says_why_not(Command("X.md:2", "curl y"))
    with pytest.raises(AssertionError):
        test_command_is_run_or_says_why_not(Command("X.md:2", "curl y", "I do not feel like it"))


def test_what_a_session_shows_is_found_in_what_is_printed():
    block = Block("X.md", "", 1, ("$ one", "a 1", "…", "c 3", "$ two"))
    (one, two) = block_commands(block)
    assert one.shown == ("a 1", "…", "c 3")
    assert two.shown == ()
    assert missing(one.shown, "head\na 1\nb 2\nc 3\n") is None
    assert missing(one.shown, "a 1\nb 2\nc 4\n") == ["c 3"]
    assert missing(one.shown, "c 3\na 1\n") == ["c 3"]
    assert refresh(one.shown, "a 5\nb 2\nc 6\n") == ["a 5", "…", "c 6"]
    assert refresh(("old",), "\nnew 1\nout/result.json\n") == ["new 1"]


def test_every_method_has_a_line_with_its_paper_and_its_presets():
    """docs/methods.md against the methods themselves."""
    from unlearn_bench.losses import LOSSES
    from unlearn_bench.trainers import RECIPES, STEPS, config

    rows = {}
    for line in (ROOT / "docs/methods.md").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `(\w+)` \|", line):
            rows.setdefault(found[1], []).append(line)
    registries = [(registry, name) for registry in (LOSSES, STEPS, RECIPES) for name in registry.names()]
    assert sorted(name for name, lines in rows.items() for _ in lines) == sorted(name for _, name in registries)
    for registry, name in registries:
        papers = re.findall(r"\d{4}\.\d{5}", registry.module(name).__doc__)
        assert not papers or any(paper in line for line in rows[name] for paper in papers), name
        presets = {preset: entries for preset, entries in config.presets().items() if preset != "smol"}  # tuned for all
        own = [p for p, entries in presets.items() if any(name in re.split(r"[+*]", key) for key in entries)]
        said = [line.rsplit("|", 2)[1].strip() for line in rows[name]]
        assert all(text == ", ".join(own) or text.startswith("with ") for text in said), (name, said, own)


def test_the_table_of_real_models_is_the_board_s():
    """README's rows of published logs, to two places."""
    board = json.loads((ROOT / "leaderboards/tofu.json").read_text(encoding="utf-8"))
    keys = ("forget/kfr", "retain/krr", "neighbour/krr", "forget/fluency", "forget/rougeL_recall", "forget/probability",
            "forget/truth_ratio")  # fmt: skip
    rows = {}
    for entry in board["entries"]:
        tasks = entry["result"]["tasks"]
        values = [tasks[f"tofu_{task}"]["metrics"][metric]["value"] for task, metric in (k.split("/") for k in keys)]
        rows[entry["name"]] = [f"{value:.2f}" for value in values]
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    shown = {row[0]: row[1:] for row in cells if row[0] in rows}
    assert len(shown) == 6
    assert shown == {name: rows[name] for name in shown}
