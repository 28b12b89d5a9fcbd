"""Task names, without lm-eval: this project's with their purpose, and which others are possible.

Reading lm-eval's own index takes many seconds, so a name is first looked for in the text of the task files: one that
is in none of them is refused immediately.
"""

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import yaml

from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean

WILDCARDS = "*?["
_LINE = re.compile(rb"^(?:[\"']?(?:task|group|tag)[\"']?[ \t]*:|[ \t]*-[ \t])(.{1,200})$", re.MULTILINE)
_WORD = re.compile(rb"[^\s,\[\]\"'{}]+")


def tasks_dir() -> Path:
    """The folder of the YAML files: next to the package in a clone, inside it in an installed wheel."""
    inside = Path(__file__).parent / "task_configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "tasks"


def describe_tasks() -> list[tuple[str, str]]:
    """(name, one line) of every group and task; a group's line names its tasks."""
    entries = []
    for path in sorted(tasks_dir().rglob("*.yaml")):
        config = _read(path)
        if "group" in config:
            entries.append((config["group"], "group: " + ", ".join(config["task"])))
        else:
            entries.append((config["task"], config["metadata"]["description"]))
    return sorted(entries, key=lambda entry: (not entry[1].startswith("group"), entry[0]))


def read_tasks() -> list[dict[str, object]]:
    """Every task's file with what it includes; `metadata` and `generation_kwargs` are in each."""
    files = [(path, _read(path)) for path in sorted(tasks_dir().rglob("*.yaml"))]
    return [
        {**_read(path.parent / str(config["include"])), **config} if "include" in config else config
        for path, config in files
        if "group" not in config
    ]


@cache
def question_sets() -> dict[str, str]:
    """Alias to the question set whose answers it takes (nano_kfr to nano_forget)."""
    aliases = [config for config in read_tasks() if config.get("samples_of", "run") != "run"]
    return {str(config["task"]): str(config["samples_of"]) for config in aliases}


@cache
def task_definitions() -> dict[str, dict[str, object]]:
    """What our tasks ask, by task: `metadata` of the YAML file, and its settings as `generation`."""
    return {
        config["task"]: {**config["metadata"], "generation": config["generation_kwargs"]} for config in read_tasks()
    }


def _read(path: Path) -> dict[str, object]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


def expand_names(names: Sequence[str], include_path: str | None = None) -> list[str]:
    """Task names with their patterns (`nano_*`) replaced by what they match; each name once.

    A pattern is looked for among our tasks and those of `include_path`, and among lm-eval's where none of these match.

    Raises:
        UserError: if no name is given, a folder does not exist, or no task file has a name or pattern.
    """
    near = {name for name, _ in describe_tasks()} | (_included(include_path) if include_path else set())
    chosen: dict[str, None] = {}
    for name in names:
        chosen |= dict.fromkeys([name] if name in near else _look_up(name, near))
    if not chosen:
        raise UserError("--tasks names no task", hint="list them with `unlearn-bench tasks`")
    return list(chosen)


def _look_up(name: str, near: set[str]) -> list[str]:
    """A name that is not among the near ones: a pattern, a stock task of lm-eval, or a mistake."""
    is_pattern = any(sign in name for sign in WILDCARDS)
    if is_pattern and (matching := sorted(known for known in near if fnmatchcase(known, name))):
        return matching
    stock = stock_names()
    if name in stock:
        return [name]
    matching = sorted(known for known in stock if fnmatchcase(known, name)) if is_pattern else []
    if not matching:
        raise did_you_mean("task", name, _suggestions(name, near, stock))
    return matching


def _suggestions(name: str, near: set[str], stock: frozenset[str]) -> set[str]:
    """Ours, and those of lm-eval that begin alike: thousands of names would bury the one that was meant."""
    return near | {other for other in stock if len(name) > 2 and other.startswith(name[:3])}


def _included(folder: str) -> set[str]:
    if not Path(folder).is_dir():
        raise UserError(f"--include-path {folder}: no such folder")
    return _names_in(Path(folder))


@cache
def stock_names() -> frozenset[str]:
    """Every word that may be a task, a group or a tag of lm-eval; lm-eval's index decides."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("lm_eval is not installed", hint="pip install lm_eval")
    return frozenset(_names_in(Path(spec.submodule_search_locations[0]) / "tasks"))


def _names_in(folder: Path) -> set[str]:
    text = b"\n".join(_texts(str(folder)))
    found = {word for line in _LINE.findall(text) for word in _WORD.findall(line)}
    return {name.decode("utf-8", "replace") for name in found}


def _texts(folder: str) -> Iterator[bytes]:
    """Task files and the files that they include; the walk of `os` is several times faster than pathlib's."""
    for where, _, files in os.walk(folder):
        for name in files:
            if "yaml" in name or "." not in name:
                with open(f"{where}/{name}", "rb") as file:
                    yield file.read()


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads lm-eval's `!function` tags as plain text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
