"""What mypy checks strictly only grows; mypy itself runs in `make test`, before pytest."""

from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED = {
    "unlearn_bench/__init__.py",
    "unlearn_bench/api",
    "unlearn_bench/errors.py",
    "unlearn_bench/files.py",
    "unlearn_bench/hashing.py",
    "unlearn_bench/losses",
    "unlearn_bench/models/in_memory.py",
    "unlearn_bench/redact.py",
    "unlearn_bench/registry.py",
    "unlearn_bench/result_table.py",
    "unlearn_bench/results",
    "unlearn_bench/schema.py",
    "unlearn_bench/scorers",
    "unlearn_bench/stats",
    "tests/typed_use.py",
}


@pytest.fixture(scope="module")
def config() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_list_of_checked_files_does_not_shrink(config):
    files = {name.strip() for name in config["mypy"]["files"].split(",")}
    assert files >= CHECKED
    assert all((ROOT / name).exists() for name in files)
    assert config["mypy"].getboolean("strict")


def test_nothing_of_ours_is_excused(config):
    excused = [s for s in config.sections() if s.startswith("mypy-unlearn_bench")]
    allowed = {"warn_return_any"}  # numpy's arithmetic
    assert all(set(config[section]) <= allowed for section in excused)


def test_checked_for_the_oldest_python(config):
    assert config["options"]["python_requires"] == f">={config['mypy']['python_version']}"


def test_make_test_runs_the_checker():
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.split("\ntest: setup", 1)[1].split("\n\n", 1)[0]
    assert "$(BIN)/mypy" in recipe.split()


def test_types_are_shipped():
    assert (ROOT / "unlearn_bench/py.typed").is_file()
    assert '"py.typed"' in (ROOT / "setup.py").read_text()
