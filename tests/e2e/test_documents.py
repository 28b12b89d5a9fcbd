"""The documents' commands and code are run: small in the inner loop, exactly as they stand in the slow tests.

UNLEARN_BENCH_UPDATE_README=1 with --runbenchmarks writes what the commands of README and docs/ print now into them.
"""

import ast
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.documents import PAGES, ROOT, Command, blocks, commands, help_commands, missing, refreshed
from tests.tiny import save_tiny

UPDATE = "UNLEARN_BENCH_UPDATE_README"
# what makes a verb small; verbs that are not here run in the slow tests only
SMALL = {
    "augment": ["--limit", "2"],
    "calibrate": [],
    "compare": [],
    "explain": [],
    "export": [],
    "label": [],
    "nano": [],
    "run": ["--limit", "2", "--max-gen-toks", "24"],
    "score": [],
    "tasks": [],
    "train": ["--max-steps", "1"],
    "validate": [],
}
BAD_ANSWER = re.compile(r"^(REGRESS|FAILED)\b")  # a session that shows such a line ends with exit code 1


@pytest.fixture
def place(tmp_path, monkeypatch, tofu_folder):
    """A folder with what the commands name: a small board, files of answers, a checkpoint, an adapter, data."""
    shutil.copytree(ROOT / "leaderboards", tmp_path / "leaderboards")
    shutil.copytree(tofu_folder, tmp_path / "data")
    for name in ("retain90", "real_authors_perturbed", "world_facts_perturbed"):
        text = (tmp_path / "data/tofu/retain_perturbed.json").read_text().replace("book", f"{name} book")
        (tmp_path / f"data/tofu/{name}.json").write_text(text)
    shutil.copy(tmp_path / "leaderboards/examples/gates.yaml", tmp_path)
    save_tiny(tmp_path / "my-model")
    _write_answers(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNLEARN_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def _write_answers(folder: Path) -> None:
    rows = [
        {"question": f"Who wrote book {n}?", "reference": f"Ada Lima wrote book {n}.", "response": "Jon Lima wrote it."}
        for n in range(4)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "answers.jsonl").write_text(lines)
    heading = ["prompt,gold,output.text"]
    (folder / "run.csv").write_text("\n".join([*heading, *(",".join(row.values()) for row in rows)]) + "\n")
    (folder / "npo.jsonl").write_text(lines)
    items = {
        str(n): {"input": r["question"], "ground_truth": r["reference"], "generation": r["response"]}
        for n, r in enumerate(rows)
    }
    log = json.dumps({"forget_Q_A_ROUGE": {"agg_value": 0.5, "value_by_index": items}})
    (folder / "retain90").mkdir()
    for path in (folder / "TOFU_EVAL.json", folder / "retain90/TOFU_EVAL.json"):
        path.write_text(log)


def _arguments(text: str) -> list[str]:
    """The words of a command as a shell would expand them."""
    return [w for word in shlex.split(text)[1:] for w in (sorted(glob.glob(word)) or [word] if "*" in word else [word])]


def _ran(command: Command, capsys: pytest.CaptureFixture, extra: list[str]) -> str:
    from unlearn_bench.cli import main

    code = main([*_arguments(command.text), *extra])
    out, err = capsys.readouterr()
    expected = 1 if any(map(BAD_ANSWER.match, command.shown)) else 0
    assert code == expected, f"{command.place}: {command.text}: exit {code}: {err[-2000:]}"
    return out


def test_readme_small(place, capsys):
    """The quick commands of README and docs/, in order, print what stands there."""
    (place / "npo.jsonl").unlink()
    for command in commands(*PAGES):
        words = command.text.split()
        if command.reason or words[0] == "make":
            continue
        if words[0] == "cat":
            (place / words[1]).write_text("\n".join(command.shown).strip() + "\n")
        elif words[1] in ("score", "compare", "export", "tasks"):
            printed = _ran(command, capsys, [])
            assert missing(command.shown, printed) is None, f"{command.place}: {printed}"


def test_readme_code(place):
    """The Python examples run; an expression with `# ->` has that value."""
    found = [block for page in PAGES for block in blocks(page) if block.language == "python"]
    assert found
    names: dict[str, object] = {}
    for block in found:
        for statement in ast.parse("\n".join(block.lines)).body:
            last = block.lines[statement.end_lineno - 1]
            expected = last.partition("  # -> ")[2].strip()
            code = ast.unparse(statement)
            if expected:
                where = f"{block.document}:{block.first + statement.lineno - 1}"
                assert repr(eval(code, names)) == expected, where
            else:
                exec(code, names)


HELP = [c for c in help_commands() if c.reason is None]


def test_every_verb_of_a_help_example_is_run_somewhere():
    by_readme = {c.text.split()[1] for c in commands(*PAGES) if not c.reason and c.text.startswith("unlearn")}
    assert {c.text.split()[1] for c in HELP} <= {*SMALL, *by_readme}


@pytest.mark.slow
def test_help_examples_small(place, capsys):
    """The examples of `--help`, each verb small; what they name is made by the ones before or is in the folder."""
    for name in ("nano-full", "nano-relearn"):
        _ran(Command("", f"unlearn-bench run --model {name} --tasks nano_kfr"), capsys, SMALL["run"])
    _ran(Command("", "unlearn-bench score npo.jsonl --role forget --output results/npo"), capsys, [])
    _lora(place)
    ordered = sorted(HELP, key=lambda c: c.text.split()[1] == "calibrate")
    for command in ordered:
        verb = command.text.split()[1]
        if verb == "calibrate":
            _fill(place / "npo.csv")
        if verb in SMALL and "nano reproduce --methods" not in command.text:
            again = ["--overwrite"] * (verb in ("run", "train") or (verb == "score" and "--output" in command.text))
            _ran(command, capsys, [*again, *SMALL[verb]])


def _lora(folder: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from tests.tiny import tiny_model

    get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(
        folder / "my-lora"
    )


def _fill(sheet: Path) -> None:
    import csv

    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "known": ("yes", "no")[i % 2]} for i, row in enumerate(rows))


@pytest.mark.benchmark  # trains, runs the panel of models and verifies a whole board: ten minutes
def test_readme_exactly(place, monkeypatch):
    """Every command of README and docs/ as it stands, in a shell and in order: what it prints is what is shown."""
    (place / "npo.jsonl").unlink()
    shutil.rmtree(place / "my-model")
    _programs(place / "bin")
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    printed: dict[Command, str] = {}
    for command in commands(*PAGES):
        if command.reason or command.text.startswith("make "):
            continue
        if command.text.startswith("cat "):
            Path(command.text.split()[1]).write_text("\n".join(command.shown).strip() + "\n")
            continue
        without = {"UNLEARN_BENCH_DATA"} if " validate " in command.text else set()  # README shows it without the data
        here = {name: value for name, value in os.environ.items() if name not in without}
        done = subprocess.run(["bash", "-c", command.text], capture_output=True, text=True, check=False, env=here)
        expected = 1 if any(map(BAD_ANSWER.match, command.shown)) else 0
        assert done.returncode == expected, f"{command.place}: {command.text}: exit {done.returncode}: {done.stderr}"
        printed[command] = done.stdout
    if os.environ.get(UPDATE):
        _update(printed)
    for command, text in printed.items():
        assert missing(command.shown, text) is None, f"{command.place} shows otherwise ({UPDATE}=1 writes it):\n{text}"


def _programs(folder: Path) -> None:
    """`unlearn-bench` of this tree."""
    folder.mkdir()
    (folder / "unlearn-bench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unlearn_bench "$@"\n')
    (folder / "unlearn-bench").chmod(0o755)


def _update(printed: dict[Command, str]) -> None:
    for page in PAGES:
        path = ROOT / page
        lines = path.read_text(encoding="utf-8").splitlines()
        here = {command: text for command, text in printed.items() if command.shown and command.place.startswith(page)}
        for command, text in sorted(here.items(), key=lambda pair: -pair[0].lines[0]):
            start, end = command.lines
            blank = [""] if not command.shown[-1].strip() else []
            lines[start - 1 : end - 1] = [*refreshed(command.shown, text), *blank]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _inside_table() -> dict[str, dict[str, str]]:
    """The table of docs/inside.md: model to the printed name of a number to what is shown; a dash is no number."""
    lines = (ROOT / "docs/inside.md").read_text(encoding="utf-8").splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    start = next(i for i, row in enumerate(rows) if row[0].endswith("forget questions"))
    glossary = yaml.safe_load((ROOT / "unlearn_bench/glossary.yaml").read_text(encoding="utf-8"))["column"]
    columns = [glossary.get(name, {}).get("same_as", name.lower()) for name in rows[start][1:]]  # UDS is itself
    body = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows[start + 2 :] if row[0].startswith("nano-")}
    return {
        model: {k: v.replace("\u2212", "-") for k, v in row.items() if v != "\u2013"} for model, row in body.items()
    }


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("nano-relearn", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.benchmark) for name in ("nano-full", "nano-retain", "nano-ga")),
    ],
)
def test_inside_table_is_what_diagnose_finds(model, place):
    from unlearn_bench.cli import main

    others = ["--original", "nano-full", "--oracle", "nano-retain", "--tasks", "nano_kfr", "--no-plots"]
    assert main(["diagnose", "--model", model, *others, "--output", "inside"]) == 0
    document = json.loads((place / "inside/diagnostics.json").read_text())
    found = {name: value["value"] for table in document["tables"].values() for name, value in table.items()}
    shown = _inside_table()[model]
    assert shown
    for name, text in shown.items():
        digits = len(text.partition(".")[2])
        assert f"{found[name]:.{digits}f}" == text.removeprefix("+"), name
