"""`check` and `compare` on the command line: exit codes, every format for every outcome, what CI systems may read."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.leaderboard_documents import make_board, make_samples, plain, write_board, write_run
from unlearn_bench.cli import main
from unlearn_bench.cli._streams import Calm

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    made = {"old": write_run(tmp_path / "old", "old"), "worse": write_run(tmp_path / "worse", "worse", kfr=20),
            "same": write_run(tmp_path / "same", "same"),
            "unlike": write_run(tmp_path / "unlike", "unlike", data="other rows"),
            "few": write_run(tmp_path / "few", "few", kfr=4, krr=4, n=4),
            "lost": write_run(tmp_path / "lost", "lost", kfr=0, krr=4, n=4)}  # fmt: skip
    return {name: str(path.parent) for name, path in made.items()}


@pytest.mark.parametrize(("new", "old", "code", "verdict"), [
    ("same", "old", 0, "pass"), ("worse", "old", 1, "regression"), ("unlike", "old", 2, "error"),
    ("lost", "few", 3, "undecided"),
])  # fmt: skip
def test_every_format_tells_every_outcome(
    runs: dict, new: str, old: str, code: int, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    junit = tmp_path / "x.xml"
    arguments = ["check", runs[new], "--baseline", runs[old], "--junit", str(junit)]
    assert main([*arguments, "--format", "json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["exit_code"]) == (verdict, code)
    assert main([*arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().out) == document
    suite = ElementTree.parse(junit).getroot()
    wrong = {0: (0, 0), 1: (1, 0), 2: (0, 1), 3: (0, 1)}[code]
    assert (int(suite.get("failures")), int(suite.get("errors"))) == wrong
    assert len(list(suite.iter("failure"))) + len(list(suite.iter("error"))) == sum(wrong)
    assert main([*arguments, "--format", "github"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in lines)
    assert any(line.startswith("::error") for line in lines) == (code != 0)
    assert main(arguments) == code
    if code == 3:
        assert main([*arguments, "--undecided", "pass"]) == 0
        assert main([*arguments, "--undecided", "fail"]) == 1


def test_a_broken_gate_is_told_in_every_format(runs: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    gate = tmp_path / "gates.yaml"
    gate.write_text("alpha: 7")
    output = tmp_path / "out.txt"
    arguments = ["check", runs["same"], "--baseline", runs["old"], "--gate", str(gate), "--format", "github"]
    assert main([*arguments, "--output", str(output)]) == 2
    assert output.read_text().startswith("::error title=unlearn-bench check")
    assert "alpha: expected a number between" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["::error::evil", "  ::stop-commands::x", "##vso[task.complete]", "##[error]x",
                                  "##teamcity[buildStop]"])  # fmt: skip
def test_no_line_of_text_is_a_command(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    samples = [s.model_copy(update={"id": f"{name} {s.id}", "question": name}) for s in make_samples()]
    worse = [s.model_copy(update={"id": f"{name} {s.id}", "question": name}) for s in make_samples(10)]
    old = write_run(tmp_path / "old", name, samples=samples)
    new = write_run(tmp_path / "new", name, samples=worse, weights="w")
    for arguments in (["check", str(new), "--baseline", str(old)], ["compare", str(old), str(new)],
                      ["check", str(new), "--baseline", f"{tmp_path}/{name}"]):  # fmt: skip
        main(arguments)
        told = "".join(capsys.readouterr())
        assert not [line for line in told.splitlines() if line.lstrip().startswith("::")]
        assert "##[" not in told
        assert "##vso[" not in told
        assert "##teamcity[" not in told


def test_a_command_written_in_parts_is_broken_up_too() -> None:
    stream = io.StringIO()
    calm = Calm(stream)
    for part in ("a::b ", "::c", "\n", "  ", "::error::d\n", "::e", "\n", "x\n::f"):
        calm.write(part)
    assert stream.getvalue() == "a::b ::c\n  : :error::d\n: :e\nx\n: :f"


@pytest.mark.slow
@pytest.mark.parametrize("closing", [">&-", ">&- 2>&-"])
def test_closed_streams_do_not_change_the_verdict(runs: dict, closing: str, tmp_path: Path) -> None:
    old = write_run(tmp_path / "a", "Ünïcode", kfr=90)
    command = f"{sys.executable} -m unlearn_bench check {runs['worse']} --baseline {old} {closing}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
                          cwd=Path(__file__).parents[3], check=False)  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)


def test_a_board_without_a_name_lists_its_entries(tmp_path: Path, capsys: pytest.CaptureFixture, runs: dict) -> None:
    board = write_board(tmp_path / "demo.json", make_board())
    assert main(["check", runs["old"], "--baseline", str(board)]) == 2
    assert "is a leaderboard: name one of its 0 entries" in capsys.readouterr().err
    assert main(["compare", runs["old"], str(board)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


class TestCompare:
    def test_a_slip_in_metrics_is_an_error(self, runs: dict, capsys: pytest.CaptureFixture) -> None:
        assert main(["compare", runs["old"], runs["worse"], "--metrics", "demo_kfr/kfr,demo_kfr/krf"]) == 2
        assert "did you mean demo_kfr/kfr" in capsys.readouterr().err

    def test_holm_is_over_what_was_asked(self, runs: dict, capsys: pytest.CaptureFixture) -> None:
        def p(*metrics: str) -> float:
            assert main(["compare", runs["old"], runs["worse"], "--format", "json", *metrics]) == 0
            rows = json.loads(capsys.readouterr().out)["rows"]
            return next(row for row in rows if row["key"] == "demo_kfr/kfr")["others"][0]["p"]

        assert p("--metrics", "demo_kfr/kfr") == pytest.approx(2 * 0.5**60)
        assert p() == pytest.approx(4 * 2 * 0.5**60)

    def test_nothing_that_can_be_compared_is_no_success(self, runs: dict, capsys: pytest.CaptureFixture) -> None:
        assert main(["compare", runs["old"], runs["unlike"]]) == 2
        told = capsys.readouterr()
        assert "not compared" in told.out
        assert "nothing could be compared" in told.err

    def test_signs_are_those_of_check(self, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        paths = []
        for name, value in (("old", 6.06), ("new", 3.31)):
            path = write_run(tmp_path / name, name)
            document = plain(path)
            number = {"value": value, "ci95": [value - 0.2, value + 0.2], "ci_method": "bootstrap", "n": 100}
            document["tasks"]["demo_kfr"]["metrics"]["perplexity"] = number
            path.write_text(json.dumps(document))
            path.with_name("samples.jsonl").unlink()
            paths.append(str(path))
        assert main(["check", paths[1], "--baseline", paths[0], "--allow-no-samples", "--format", "json"]) == 0
        checked = next(m for m in json.loads(capsys.readouterr().out)["metrics"] if m["key"] == "demo_kfr/perplexity")
        assert main(["compare", *paths, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        compared = next(row for row in rows if row["key"] == "demo_kfr/perplexity")["others"][0]
        assert checked["difference"] == compared["difference"] == pytest.approx(-2.75)
        assert checked["ci95"] == compared["ci95"] == [compared["low"], compared["high"]]

    def test_p_and_interval_agree_where_clusters_are_few(self, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        paths = [str(write_run(tmp_path / f"{k}", f"m{k}", kfr=k, krr=30, n=30, clustered=True)) for k in (30, 0)]
        assert main(["compare", *paths, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        found = next(row for row in rows if row["key"] == "demo_kfr/kfr")["others"][0]
        assert (found["method"], found["difference"]) == ("sign_test_design_effect", -1.0)
        assert found["p"] < 0.05
        assert -1.0 == found["low"] < found["high"] < -0.4

    def test_what_is_not_known_is_not_called_the_same(self, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        paths = []
        for name in ("a", "b"):
            path = write_run(tmp_path / name, name, kfr=50 if name == "a" else 80)
            document = plain(path)
            document["model"] = {"name": name, "source": "file"}
            document["run"] = {"verb": "score", "first_answer": True, "files": [f"{name}.jsonl"]}
            path.write_text(json.dumps(document))
            paths.append(str(path))
        assert main(["compare", *paths]) == 0
        told = capsys.readouterr().out
        assert "the same model" not in told
        assert "not known: the model (no hash of the weights: a and b)" in told
        assert "not known: how the answers were generated (read from files: a and b)" in told
