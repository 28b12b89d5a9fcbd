"""The house rules of design and style, kept by a machine: who may import whom, how long files and functions are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "unlearn_bench"
FILES = sorted(PACKAGE.rglob("*.py"))
LEAVES = {"__init__", "__main__"}
SCHEMA = {"schema", "schema_answers", "schema_base", "schema_judges", "schema_metric"}
GROUND = SCHEMA | {"errors", "files", "redact", "seeded"}
BASE = GROUND | {"hashing", "registry", "results", "stats", "text"}

# room -> rooms of this package it may import; a room always may import itself
ALLOWED: dict[str, set[str] | None] = {
    "errors": set(),
    "files": set(),
    "schema_base": set(),
    "schema_judges": {"schema_base"},
    "schema_metric": {"schema_base"},
    "schema_answers": {"schema_base", "schema_judges"},
    "schema": SCHEMA,
    "redact": set(),
    "seeded": set(),
    "hashing": GROUND,
    "registry": GROUND,
    "text": GROUND,
    "stats": GROUND,
    "untrusted": {"errors", "files"},
    "results": GROUND | {"hashing", "untrusted"},
    "chat_template": GROUND | {"text"},
    "tokens": BASE | {"chat_template"},
    "tasks_index": {"errors", "registry"},
    "glossary": {"errors", "registry", "schema", "scorers", "summaries", "tasks_index"},
    "scorers": BASE,
    "summaries": BASE | {"scorers"},
    "losses": {"registry", "errors"},
    "nano": GROUND | {"hashing", "tokens"},
    "smol": GROUND | {"nano"},
    "data": BASE | {"nano", "smol"},
    "models": BASE | {"nano", "smol", "chat_template", "tokens"},
    "llm": GROUND | {"hashing"},
    # untrusted: verdicts come from elsewhere too
    "judges": BASE | {"scorers", "models", "llm", "untrusted"},
    "evidence": BASE | {"scorers", "summaries", "models", "llm", "nano", "judges"},
    "formats": BASE | {"data", "evidence"},
    "diagnostics": BASE | {"models", "data", "tokens", "nano"},
    "harness": BASE
    | {"evidence", "scorers", "data", "models", "tokens", "formats", "diagnostics", "nano", "llm", "tasks_index"}
    | {"chat_template", "calibration", "summaries", "judges", "stress"},
    "stress": BASE | {"models", "data", "tokens", "chat_template", "nano", "trainers"},
    "trainers": BASE | {"losses", "data", "models", "nano", "tokens", "chat_template"},
    "augment": BASE | {"llm", "models", "data", "evidence", "scorers", "tokens", "nano"},
    # evidence: aggregates and labels are computed again; tasks_index: which tasks are ours
    "comparison": BASE | {"untrusted", "scorers", "summaries", "evidence", "tasks_index"},
    # evidence, scorers: `verify` scores again; data, tasks_index: with the rows that the tasks ask
    "calibration": BASE | {"evidence", "scorers", "untrusted"},
    "boards": BASE | {"untrusted", "comparison", "scorers", "summaries", "evidence", "data", "tasks_index"},
    # data: the id at the hub; formats: the names of another project's log, which is read there and written here
    "site": BASE
    | {"untrusted", "comparison", "boards", "glossary", "data", "result_table", "calibration"}
    | {"scorers", "formats"},
    "meta": BASE
    | {"untrusted", "comparison", "scorers", "summaries", "evidence", "models", "harness", "stress", "nano"}
    | {"smol", "reproduce"},
    "result_table": GROUND,
    "api": BASE | {"harness", "evidence", "models", "boards", "comparison", "result_table"},
    "smol.build": BASE | {"nano", "smol", "data", "models", "trainers"},
    "reproduce": BASE
    | {"nano", "smol", "harness", "trainers", "augment", "boards", "data", "diagnostics", "evidence", "scorers"}
    | {"models", "stress"},
    "nano.self_test": BASE | {"nano", "harness", "models"},
    "cli": None,  # anything; and nobody imports it
}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _statements(path: Path) -> list[ast.AST]:
    """Imports and functions, wherever they stand."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(_tree(path)) if isinstance(node, kinds)]


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:2]) if ".".join(parts[:2]) in ALLOWED else parts[0]


def _imports(path: Path) -> set[str]:
    rooms = set()
    for node in _statements(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unlearn_bench":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("unlearn_bench.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_table(path):
    room = _room(path)
    if room in LEAVES:
        return
    assert room in ALLOWED, f"{room} is not in the table"
    allowed = ALLOWED[room]
    assert allowed is None or _imports(path) - {room} <= allowed
    assert room == "cli" or "cli" not in _imports(path)


def _private_imports(path: Path) -> set[str]:
    """The other packages of this house from which a file imports an underscore module."""
    home, found = path.relative_to(PACKAGE).parent.parts, set()
    for node in _statements(path):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "unlearn_bench":
            continue
        for name in node.names:
            parts = [*node.module.split("."), name.name][1:]
            place = next((i for i, part in enumerate(parts) if part.startswith("_")), 0)
            if (
                place
                and home[:place] != tuple(parts[:place])
                and PACKAGE.joinpath(*parts[: place + 1]).with_suffix(".py").exists()
            ):
                found.add(".".join(parts[:place]))
    return found


def test_no_underscore_module_is_imported_from_another_package():
    """An underscore means private to the package."""
    assert not {owner for path in FILES for owner in _private_imports(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    for node in _statements(path):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert _code_lines(node) <= 80, node.name


def _code_lines(function: ast.FunctionDef) -> int:
    body = function.body
    first = body[1] if ast.get_docstring(function) and len(body) > 1 else body[0]
    return (function.end_lineno or 0) - first.lineno + 1


_OWN_CLOCK = {"growth.py"}  # compares two inputs on one machine
TESTS = [p for p in sorted(Path(__file__).parents[1].rglob("*.py")) if "benchmarks" not in p.parts]
_CLOCKS = {"process_time", "perf_counter", "perf_counter_ns", "process_time_ns"}


@pytest.mark.parametrize("path", TESTS, ids=lambda p: str(p.relative_to(Path(__file__).parents[1])))
def test_no_test_measures_seconds(path):
    """Machines differ in speed: linear work is shown by counting; what is timed is a benchmark."""
    text = path.read_text(encoding="utf-8")
    if path.name not in _OWN_CLOCK and any(name in text for name in _CLOCKS):
        assert not {n.attr for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)} & _CLOCKS


LIGHT = [
    "schema",
    "errors",
    "registry",
    "hashing",
    "files",
    "stats",
    "results",
    "text",
    "scorers",
    "summaries",
    "evidence",
    "judges",
    "untrusted",
    "comparison",
    "boards",
    "site",
    "formats",
    "glossary",
    "result_table",
    "api",
]


def test_cheap_rooms_import_nothing_heavy():
    """One interpreter for all: the first that imports something heavy is named."""
    code = (
        "import importlib, sys\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'sentence_transformers', 'nltk', 'scipy', 'datasets'}\n"
        "for room in sys.argv[1:]:\n"
        "    importlib.import_module(f'unlearn_bench.{room}')\n"
        "    if found := heavy & set(sys.modules):\n"
        "        sys.exit(f'{room}: {found}')"
    )
    done = subprocess.run([sys.executable, "-c", code, *LIGHT, "cli"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from unlearn_bench.cli import build_parser\n"
        "build_parser().format_help()\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'rich', 'numpy', 'pydantic', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _stated_imports(body: list[ast.stmt]) -> Iterator[ast.ImportFrom]:
    """The imports at the top of a file, those for types alone included."""
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _stated_imports([*node.body, *node.orelse])


def test_no_import_circle():
    """Typed or not: a file that must know another one is not known by it."""
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    graph = {}
    for module, path in names.items():
        stated = [(node.module or "", alias.name) for node in _stated_imports(_tree(path).body) for alias in node.names]
        found = {f"{origin}.{name}" if f"{origin}.{name}" in names else origin for origin, name in stated}
        graph[module] = (found & names.keys()) - {module, PACKAGE.name}
    ends = 0
    while len(graph) != ends:  # what imports nothing that is left is on no circle, and nor is what nobody left imports
        ends = len(graph)
        imported = set().union(*graph.values())
        graph = {module: found & graph.keys() for module, found in graph.items() if found & graph.keys()}
        graph = {module: found for module, found in graph.items() if module in imported}
    assert not graph, sorted(graph)


ROOT = Path(__file__).parents[2]
TOLD = [p for folder in ("unlearn_bench", "docs", "tasks") for p in (ROOT / folder).rglob("*")
        if p.suffix in {".py", ".md", ".yaml", ".j2"}]  # fmt: skip
_KFR_HIGHER = re.compile(r"\bkfr\w*\b[^.;\n]*\bhigher is better|\bhigher is better[^.;\n]*\bkfr", re.IGNORECASE)


def test_nothing_says_that_a_higher_kfr_is_better():
    """KFR has a place between original and oracle; what forgets more than the oracle is no better."""
    assert _KFR_HIGHER.search("KFR, of which higher is better")
    said = [str(p) for p in (*TOLD, ROOT / "README.md") if _KFR_HIGHER.search(p.read_text(encoding="utf-8"))]
    heads = [p for p in (PACKAGE / "scorers").glob("kfr*.py") if "higher is better" in p.read_text(encoding="utf-8")]
    assert said + heads == []
    from unlearn_bench import glossary

    for name in ("kfr", "kfr_fluent", "kfr_thinking"):
        assert "beyond it is over-forgotten" in glossary.find(name).better["forget"]
