"""The house rules of design and style, kept by a machine: who may import whom, how long files and functions are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "unlearn_bench"
FILES = sorted(PACKAGE.rglob("*.py"))
LEAVES = {"__init__", "__main__"}
SCHEMA = {"schema", "schema_answers", "schema_base", "schema_judges", "schema_metric"}
GROUND = SCHEMA | {"errors", "files", "processes", "redact", "seeded"}
BASE = GROUND | {"hashing", "registry", "results", "stats", "text"}

# room -> rooms of this package it may import; a room always may import itself
ALLOWED: dict[str, set[str] | None] = {
    "errors": set(),
    "files": set(),
    "processes": set(),
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
    "tasks_index": GROUND | {"registry"},
    "glossary": GROUND | {"registry", "scorers", "summaries", "tasks_index"},
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
    "result_words": GROUND,
    "result_table": GROUND | {"result_words"},
    "api": BASE | {"harness", "evidence", "models", "boards", "comparison", "result_table"},
    "smol.build": BASE | {"nano", "smol", "data", "models", "trainers"},
    "reproduce": BASE
    | {"nano", "smol", "harness", "trainers", "augment", "boards", "data", "diagnostics", "evidence", "scorers"}
    | {"models", "stress"},
    "nano.self_test": BASE | {"nano", "harness", "models"},
    "cli": None,  # anything; and nobody imports it
}


@dataclass(frozen=True)
class Source:
    """What the rules are about; the tree itself is not kept: later collections of garbage would walk through it."""

    lines: int
    imports: list[ast.Import | ast.ImportFrom]  # wherever they stand
    stated: list[ast.ImportFrom]  # at the top of the file
    functions: dict[str, int]  # lines of code of each


@cache
def _source(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    body = ast.parse(text).body
    found = list(_statements(body))
    functions: dict[str, int] = {}
    for node in found:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions[node.name] = max(_code_lines(node), functions.get(node.name, 0))
    imports = [node for node in found if isinstance(node, ast.Import | ast.ImportFrom)]
    return Source(len(text.splitlines()), imports, list(_stated_imports(body)), functions)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, those inside others included; expressions, most of a tree, are not walked through."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(node, part, []))


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:2]) if ".".join(parts[:2]) in ALLOWED else parts[0]


def _imports(path: Path) -> set[str]:
    rooms = set()
    for node in _source(path).imports:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unlearn_bench":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("unlearn_bench.")}
    return rooms - {"__version__"}


def test_imports_follow_the_table():
    rooms = {path: _room(path) for path in FILES}
    assert set(rooms.values()) - LEAVES <= set(ALLOWED), "a room is not in the table"
    forbidden = {}
    for path, room in rooms.items():
        allowed = None if room in LEAVES else ALLOWED[room]
        if found := (set() if allowed is None else _imports(path) - {room} - allowed):
            forbidden[str(path.relative_to(PACKAGE))] = found
        assert room in {"cli", *LEAVES} or "cli" not in _imports(path), path
    assert forbidden == {}


def _private_imports(path: Path) -> set[str]:
    """The other packages of this house from which a file imports an underscore module."""
    home, found = path.relative_to(PACKAGE).parent.parts, set()
    for node in _source(path).imports:
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


def test_files_and_functions_are_short():
    assert [str(path) for path in FILES if _source(path).lines > 500] == []
    functions = {(path, name): lines for path in FILES for name, lines in _source(path).functions.items()}
    assert len(functions) > len(FILES)
    assert {f"{path}: {name}" for (path, name), lines in functions.items() if lines > 80} == set()


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    first = body[1] if ast.get_docstring(function) and len(body) > 1 else body[0]
    return (function.end_lineno or 0) - first.lineno + 1


_OWN_CLOCK = {"growth.py"}  # compares two inputs on one machine
TESTS = [p for p in sorted(Path(__file__).parents[1].rglob("*.py")) if "benchmarks" not in p.parts]
_CLOCKS = {"process_time", "perf_counter", "thread_time", "perf_counter_ns", "process_time_ns", "thread_time_ns"}


def test_no_test_measures_seconds():
    """Machines differ in speed: linear work is shown by counting; what is timed is a benchmark."""
    clock = re.compile(rf"\w\s*\.\s*({'|'.join(_CLOCKS)})\b")
    assert clock.search("time . perf_counter()")
    texts = {path: path.read_text(encoding="utf-8") for path in TESTS if path.name not in _OWN_CLOCK}
    del texts[Path(__file__)]  # names them
    assert [str(path) for path, text in texts.items() if clock.search(text)] == []


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
    "result_words",
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
        stated = [(node.module or "", alias.name) for node in _source(path).stated for alias in node.names]
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
