"""Task names, without lm-eval: this project's with their purpose, and which others are possible.

Reading lm-eval's own index takes many seconds, so a name is first looked for in the text of the task files: one that
is in none of them is refused immediately.
"""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_bench.errors import UserError
from unlearn_bench.files import read_yaml, yaml_loader
from unlearn_bench.registry import did_you_mean

WILDCARDS = "*?["
_LINE = re.compile(rb"^(?:[\"']?(?:task|group|tag)[\"']?[ \t]*:|[ \t]*-[ \t])(.{1,200})$", re.MULTILINE)
_WORD = re.compile(rb"[^\s,\[\]\"'{}]+")


def tasks_dir() -> Path:
    """The folder of the YAML files: next to the package in a clone, inside it in an installed wheel."""
    inside = Path(__file__).parent / "task_configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "tasks"


def describe_tasks() -> list[tuple[str, str]]:
    """(name, one line) of every group and task; a group's line names its tasks, an alias's line its metrics."""
    groups = [(name, "group: " + ", ".join(members)) for name, members in read_groups().items()]
    return sorted(groups) + sorted((str(config["task"]), _line(config)) for config in read_tasks())


def _line(config: Mapping[str, Any]) -> str:
    metrics = f": {', '.join(config['metrics'])}" if "metrics" in config else ""
    return f"{config['metadata']['description']}{metrics}"


def read_groups() -> dict[str, list[str]]:
    """Group to the names of its tasks."""
    return {config["group"]: config["task"] for _, config in _files() if "group" in config}


def read_tasks() -> list[dict[str, Any]]:
    """Every task's file with what it includes: `metadata` and `generation_kwargs` are in each.

    An alias has `samples_of` (the question set whose answers it takes) and `metrics`, which are its `metadata.scorers`.
    """
    return [_resolved(path, config) for path, config in _files() if "group" not in config]


def _files() -> list[tuple[Path, dict[str, Any]]]:
    return [(path, _read(path)) for path in sorted(tasks_dir().rglob("*.yaml"))]


def _resolved(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**_included_by(path, config), **config}
    if "metrics" in whole:
        whole["metadata"] = {**whole["metadata"], "scorers": whole["metrics"]}
    return whole


def _included_by(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    if "include" not in config:
        return {}
    included = path.parent / str(config["include"])
    found = _read(included)
    return {**_included_by(included, found), **found}


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


@cache
def _read(path: Path) -> dict[str, Any]:
    """A file's content, read once; nobody changes it in place."""
    return read_yaml(path.read_text(encoding="utf-8"), _Loader)


def expand_names(names: Sequence[str], include_path: str | None = None) -> list[str]:
    """Task names with their patterns (`nano_*`) replaced by what they match; each name once.

    A pattern is looked for among our question sets and the tasks of `include_path`; among our aliases where none of
    these match; and among lm-eval's tasks where those do not either.

    Raises:
        UserError: if no name is given, a folder does not exist, or no task file has a name or pattern.
    """
    aliases = {str(config["task"]) for config in read_tasks() if "metrics" in config}
    near = {name for name, _ in describe_tasks()} | (names_in(include_path) if include_path else set())
    chosen: dict[str, None] = {}
    for name in names:
        chosen |= dict.fromkeys([name] if name in near else _look_up(name, near - aliases, aliases))
    if not chosen:
        raise UserError("--tasks names no task", hint="list them with `unlearn-bench tasks`")
    return list(chosen)


def _look_up(name: str, near: set[str], aliases: set[str]) -> list[str]:
    """A name that is not among the near ones: a pattern, a stock task of lm-eval, or a mistake."""
    is_pattern = any(sign in name for sign in WILDCARDS)
    for known in (near, aliases) if is_pattern else ():
        if matching := sorted(other for other in known if fnmatchcase(other, name)):
            return matching
    stock = stock_names()
    if name in stock:
        return [name]
    matching = sorted(known for known in stock if fnmatchcase(known, name)) if is_pattern else []
    if not matching:
        raise did_you_mean("task", name, _suggestions(name, near | aliases, stock))
    return matching


def _suggestions(name: str, near: set[str], stock: frozenset[str]) -> set[str]:
    """Ours, and those of lm-eval that begin alike: thousands of names would bury the one that was meant."""
    return near | {other for other in stock if len(name) > 2 and other.startswith(name[:3])}


def names_in(folder: str) -> set[str]:
    """Every word that may be a task, a group or a tag of a folder's task files.

    Raises:
        UserError: if there is no such folder.
    """
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


class _Loader(yaml_loader()):  # type: ignore[misc]
    """Safe YAML that reads lm-eval's `!function` tags as plain text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
