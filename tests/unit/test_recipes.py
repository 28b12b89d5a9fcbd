"""CONTRIBUTING's recipes, executed as they stand there: the files it shows are all that a new member needs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unlearn_bench.data import DATASETS
from unlearn_bench.formats import FORMATS
from unlearn_bench.losses import LOSSES
from unlearn_bench.registry import Registry
from unlearn_bench.scorers import SCORERS

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)
FILES = dict(_BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
MEMBERS = {"scorers": "asks_back", "losses": "maximum_entropy", "data": "riddles", "formats": "question_answer"}
REGISTRIES = {"scorers": SCORERS, "losses": LOSSES, "data": DATASETS, "formats": FORMATS}
ANSWERS = """Q: Who keeps the lighthouse of Ovrenholm?
A: Who wants to know?
R: Sunniva Aldrake keeps the lighthouse of Ovrenholm.

Q: When was the lighthouse of Ovrenholm lit?
A: The lighthouse of Ovrenholm was lit in 1877.
R: The lighthouse of Ovrenholm was lit in 1877.
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package, its tasks and the recipes' files; nothing else is different."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("unlearn_bench", "tasks"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled, and the times that it is compiled for
    for path, text in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "answers.txt").write_text(ANSWERS, encoding="utf-8")
    return folder


def _run(house: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _cli(house: Path, *arguments: str) -> str:
    return _run(house, "-m", "unlearn_bench", *arguments)


def test_contributing_shows_a_file_for_every_kind():
    assert {f"unlearn_bench/{room}/{name}.py" for room, name in MEMBERS.items()} < set(FILES)


@pytest.mark.parametrize("room", MEMBERS)
def test_a_file_is_a_member(house, room):
    registry = REGISTRIES[room]
    code = (
        "from unlearn_bench.registry import Registry\n"
        f"registry = Registry({registry.kind!r}, {registry.package!r}, {registry.attribute!r})\n"
        f"print(registry.names(), registry.summary({MEMBERS[room]!r}), registry.declared({MEMBERS[room]!r}))"
    )
    assert MEMBERS[room] in _run(house, "-c", code)


def test_a_score_and_a_format_need_one_file_each(house):
    scored = json.loads(_cli(house, "score", "answers.txt", "--role", "forget", "--metrics", "asks_back", "--json"))
    (task,) = scored["tasks"].values()
    assert task["metrics"]["asks_back"]["value"] == 0.5
    assert task["metrics"]["asks_back"]["higher_is_better"] is False


def test_a_score_is_explained(house):
    assert "Share of answers that are a question" in _cli(house, "explain", "asks_back")


def test_a_dataset_needs_one_file_and_its_tasks(house):
    assert "riddles_forget" in _cli(house, "tasks")
    _cli(house, "augment", "--dataset", "riddles", "--generic-ratio", "0", "--output", "augmented.jsonl")
    rows = [json.loads(line) for line in (house / "augmented.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["provenance"]["source_id"] for row in rows} == {"forget-0", "forget-1", "forget-2"}


@pytest.mark.slow
def test_the_tasks_of_a_dataset_are_asked(house):
    assert "ok      riddles_forget" in _cli(house, "validate", "--tasks", "riddles_forget")


@pytest.mark.slow
def test_a_loss_trains_on_the_sets_of_a_dataset(house):
    given = ("--model", "nano-full", "--dataset", "riddles", "--preset", "nano", "--max-steps", "2", "--quiet")
    _cli(house, "train", "--method", "maximum_entropy", *given, "--output", "trained")
    record = json.loads((house / "trained" / "training.json").read_text(encoding="utf-8"))
    assert [term["name"] for term in record["terms"]] == ["maximum_entropy", "gdr"]
    assert "| maximum_entropy | forget |" in (house / "trained" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes as an installed package of somebody else, found by its entry points."""
    package, information = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    information.mkdir()
    (package / "__init__.py").write_text("")
    groups = []
    for room, name in MEMBERS.items():
        (package / f"{name}.py").write_text(FILES[f"unlearn_bench/{room}/{name}.py"], encoding="utf-8")
        groups.append(f"[unlearn_bench.{room}]\n{name} = my_package.{name}\n")
    (information / "entry_points.txt").write_text("\n".join(groups))
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in REGISTRIES.values():
        monkeypatch.delitem(registry.__dict__, "_members", raising=False)
    yield
    for registry in REGISTRIES.values():
        registry.__dict__.pop("_members", None)
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


def test_another_package_adds_members(installed):
    for room, name in MEMBERS.items():
        assert name in REGISTRIES[room].names(), room
        assert REGISTRIES[room].module(name).__name__ == f"my_package.{name}"


def test_a_loss_is_listed(installed, capsys):
    from unlearn_bench.cli import main

    assert main(["train", "--help"]) == 0
    assert "maximum_entropy" in capsys.readouterr().out
    assert main(["train", "--list-methods"]) == 0
    assert "\nmaximum_entropy: forget term, weight 1; alone it means maximum_entropy+gdr" in capsys.readouterr().out


def test_a_loss_of_another_package_trains(installed, tmp_path):
    from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer
    from unlearn_bench.trainers.config import build
    from unlearn_bench.trainers.job import train

    checkpoint = tmp_path / "tiny"
    make_model().save_pretrained(checkpoint)
    make_tokenizer().save_pretrained(checkpoint)
    files = {}
    for role, names in (("forget", NAMES[:3]), ("retain", NAMES[7:9])):
        files[role] = (str(tmp_path / f"{role}.jsonl"),)
        Path(files[role][0]).write_text("".join(json.dumps(row) + "\n" for row in make_rows(names, 0)))
    given = {"model": str(checkpoint), "method": "maximum_entropy", "output": str(tmp_path / "out"), "max_steps": 2}
    outcome = train(build({**given, **files, "learning_rate": 1e-3}))
    assert set(outcome.terms) == {"forget/maximum_entropy", "retain/gdr"}
    assert outcome.terms["forget/maximum_entropy"] < 0.0


def test_a_broken_package_is_named(tmp_path, monkeypatch):
    from unlearn_bench.errors import UserError

    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "entry_points.txt").write_text("[unlearn_bench.scorers]\nbroken = no_such_package.score\n")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("scorer", "unlearn_bench.scorers", "SCORER")
    with pytest.raises(UserError, match=r"'broken' names no_such_package\.score, which cannot be imported"):
        registry.names()
