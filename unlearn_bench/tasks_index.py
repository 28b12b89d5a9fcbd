"""Our task files, read without lm-eval: where they are, and what each is for."""

from pathlib import Path

import yaml


def tasks_dir() -> Path:
    """The folder of our YAML files: beside the package in a clone, inside it in an installed wheel."""
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


def _read(path: Path) -> dict[str, object]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads lm-eval's `!function` tags as plain text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
