"""The leaderboard's verbs as a user types them: exit codes, files, and no torch anywhere."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from tests.leaderboard_documents import make_board, make_result, plain, write_board, write_run
from unlearn_bench import schema
from unlearn_bench.boards import board as boards
from unlearn_bench.boards.store import dump_board, read_board
from unlearn_bench.cli import main
from unlearn_bench.comparison import gate
from unlearn_bench.reproduce.nano import STUDY
from unlearn_bench.untrusted.strict_json import pretty

ROOT = Path(__file__).parents[2]
NANO_NAMES = {"relearn": "nano-relearn", "ga": "nano-ga"}
HEAVY = ("torch", "transformers", "lm_eval", "sentence_transformers")


class Blocker:
    """Of `sys.meta_path`: whoever needs torch cannot hide it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in HEAVY:
            raise ImportError(name + " is not to be imported here")


# one process takes all command lines, as each start of Python costs a second
SERVER = f"""
import contextlib, io, json, sys
HEAVY = {HEAVY}
{inspect.getsource(Blocker)}
sys.meta_path.insert(0, Blocker())
from unlearn_bench.cli import main
for line in sys.stdin:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(json.loads(line))
    print(json.dumps([code, out.getvalue()]), flush=True)
"""
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command line in this process, which forgets meanwhile that it has torch."""
    monkeypatch.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] in HEAVY]:
        monkeypatch.delitem(sys.modules, name)

    def run(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        found = main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert found == code, said
        return said.out + said.err

    return run


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Run]:
    """A command line in a process that has never seen torch."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, **pipes) as server:

        def run(*arguments: object, code: int = 0) -> str:
            server.stdin.write(json.dumps([str(a) for a in arguments]) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
            assert answer, f"the process died of {arguments}"
            found, out = json.loads(answer)
            assert found == code, out
            return out

        yield run
        server.stdin.close()


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A board, and three runs whose samples are put aside, as nobody scored them with real scorers."""
    write_board(tmp_path / "demo.json", make_board())
    for name, figures in {"full": {"kfr": 2}, "relearn": {"kfr": 86}, "ga": {"kfr": 100, "krr": 0}}.items():
        path = write_run(tmp_path / name, name, **figures)
        path.with_name("samples.jsonl").rename(path.with_name("kept.jsonl"))
    return tmp_path


@pytest.mark.slow
def test_from_submission_to_report_without_torch(bench: Path, elsewhere: Run) -> None:
    run = elsewhere
    board = bench / "demo.json"
    for name in ("full", "relearn", "ga"):
        out = run("submit", bench / name, "--leaderboard", board, "--name", name, "--notes", "a <b>note</b>")
        assert f"added {name!r}" in out
        assert "not verified" in out
    assert "duplicate_name" in run("submit", bench / "full", "--leaderboard", board, "--name", "full", code=2)
    assert "problems 0" in run("verify", board)

    gates = bench / "gates.yaml"
    gates.write_text("metrics:\n  demo_kfr/kfr: {floor: 0.8}\n  demo_krr/krr: {floor: 0.8}\n")
    for name, code, reason in (("relearn", 0, "pass"), ("ga", 1, "demo_krr/krr"), ("full", 1, "demo_kfr/kfr")):
        samples = ["--samples", bench / name / "kept.jsonl", "--baseline-samples", bench / "relearn" / "kept.jsonl"]
        checked = ["check", bench / name, "--baseline", f"{board}#relearn", "--gate", gates, *samples]
        out = run(*checked, "--junit", bench / f"{name}.xml", code=code)
        assert reason in out
        failures = [
            c for c in ElementTree.parse(bench / f"{name}.xml").iter("testcase") if c.find("failure") is not None
        ]
        assert [f"{c.get('classname')}/{c.get('name')}" for c in failures] == ([reason] if code else [])
    assert json.loads(run(*checked, "--format", "json", code=1))["exit_code"] == 1
    assert "::error title=demo_kfr/kfr" in run(*checked, "--format", "github", code=1)

    out = run("compare", bench / "full", f"{board}#relearn", "--metrics", "kfr")
    assert "another model: weights" in out
    assert json.loads(run("compare", bench / "full", bench / "ga", "--format", "json"))["names"] == ["full", "ga"]
    assert "pages; open" in run("report", board, bench / "ga", "--output", bench / "site")
    assert (bench / "site" / "index.html").is_file()
    assert run("report", board, "--format", "md").startswith("**Demo**")
    assert run("report", board, "--format", "csv").startswith("rank,tied,front,model")
    assert "| demo_kfr | kfr | 0.860 (0.779 to 0.915) | 0.020 (" in run(
        "report", bench / "relearn", bench / "full", "--format", "md"
    )
    assert "demo\\_kfr & kfr & 0.860 (" in run("report", bench / "relearn", "--format", "latex")
    assert "\nrelearn,demo_kfr,kfr,0.86," in run("report", bench / "relearn", "--format", "csv")
    record = json.loads(run("export", f"{board}#relearn", "--to", "every-eval-ever", "--organization", "Test"))
    assert record["schema_version"] == "0.3.0"
    assert "every-eval-ever takes any dataset" in run("export", bench / "ga", "--to", "hf-eval-results", code=2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("submit", "nowhere", "--leaderboard", "demo.json", "--name", "x"), "does not exist"),
        (("submit", "full", "--leaderboard", "nowhere.json", "--name", "x"), "does not exist"),
        (("submit", "full", "--leaderboard", "demo.json", "--name", "x\u202e"), "U+202E"),
        (("submit", "full", "--leaderboard", "demo.json", "--name", "x", "--paper", "javascript:x"), "https://"),
        (("verify", "full"), "--samples"),
        (("check", "full", "--baseline", "demo.json#nobody"), "no entries"),
        (("check", "full", "--baseline", "other", "--allow-no-samples"), "cannot be compared"),
        (("check", "full", "--baseline", "ga", "--gate", "demo.json"), "gate"),
        (("compare", "full"), "at least two"),
    ],
    ids=lambda v: " ".join(v[:2]) if isinstance(v, tuple) else None,
)
def test_bad_input_is_one_clear_message_and_exit_code_2(bench: Path, run: Run, arguments: tuple, reason: str) -> None:
    write_run(bench / "other", "other", scorer="unlike")
    known = {"full", "ga", "other", "demo.json", "nowhere", "nowhere.json"}
    placed = [str(bench / a) if a.split("#")[0] in known else a for a in arguments]
    before = (bench / "demo.json").read_bytes()
    assert reason in run(*placed, code=2)
    assert (bench / "demo.json").read_bytes() == before


def test_published_schemas_are_the_code_s_own() -> None:
    for name, current in (
        ("board", boards.json_schema()),
        ("result", schema.json_schema()),
        ("gate", gate.json_schema()),
    ):
        path = ROOT / "leaderboards" / f"{name}.schema.json"
        assert path.read_text(encoding="utf-8") == pretty(current), f"{path.name}: see leaderboards/README.md, Schemas"
    jsonschema.validate(make_result().model_dump(mode="json"), schema.json_schema())


TASKS = [p for p in (ROOT / "tasks").rglob("*.yaml") if p.read_text(encoding="utf-8").startswith("include: ")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "tofu", "knowundo"])
def test_the_boards_of_the_project_are_valid(name: str) -> None:
    path = ROOT / "leaderboards" / f"{name}.json"
    board = read_board(path)
    assert board.benchmark == name
    assert path.read_text(encoding="utf-8") == dump_board(board)
    assert set(board.axis_metrics()) == {"forgetting", "retention", "fluency"}
    jsonschema.validate(plain(path), boards.json_schema())
    defined = [yaml.safe_load(config.read_text(encoding="utf-8"))["task"] for config in TASKS]
    assert board.tasks.keys() <= set(defined)  # every task of the board can be run


def test_nano_board_holds_every_row_of_the_table_with_samples() -> None:
    board = read_board(ROOT / "leaderboards" / "nano.json")
    assert {entry.name for entry in board.entries} == {NANO_NAMES.get(name, name) for name in STUDY.rows}
    for entry in board.entries:
        assert entry.verification is not None
        assert (ROOT / "leaderboards" / "samples" / f"{entry.result.samples_sha256}.jsonl.bz2").is_file()


@pytest.mark.parametrize(
    ("name", "code", "failing"),
    [
        ("nano-relearn", 0, set()),
        ("nano-ga", 1, {"nano_retain/krr", "nano_forget/fluency"}),
        ("nano-full", 1, {"nano_forget/kfr"}),
    ],
)
def test_gate_of_nano_passes_and_fails_for_the_right_reason(run: Run, name: str, code: int, failing: set[str]) -> None:
    board, gates = ROOT / "leaderboards" / "nano.json", ROOT / "leaderboards" / "examples" / "gates.yaml"
    out = run("check", f"{board}#{name}", "--baseline", f"{board}#nano-relearn", "--gate", gates, code=code)
    assert {line.split()[1].rstrip(":") for line in out.splitlines() if line.startswith("REGRESS")} == failing


def test_the_workflow_and_the_gate_of_the_readme_are_valid(tmp_path: Path) -> None:
    workflow = yaml.safe_load((ROOT / "leaderboards" / "examples" / "unlearning-gate.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["gate"]["steps"]
    assert any("unlearn-bench check" in step.get("run", "") for step in steps)
    found = gate.read_gate(ROOT / "leaderboards" / "examples" / "gates.yaml")
    assert found.rule("nano_forget/kfr").floor == 0.8
