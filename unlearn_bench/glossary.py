"""What every printed name means: metrics, table columns, diagnostic numbers, tasks, scoring options.

The texts stand in `glossary.yaml`; the lines of tasks come from their own files, and a metric that has no text there is
described by its scorer's file. `unlearn-bench explain` prints an entry in full, the site shows `describe`. No torch
here.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import get_args

from unlearn_bench.files import read_yaml
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role
from unlearn_bench.scorers import SCORERS
from unlearn_bench.tasks_index import describe_tasks

KINDS = ("metric", "column", "diagnostic", "task", "option")
MODES = {
    "free_answer": "over the model's own answer"
}  # forced_<where> is measured after the words of the reference answer
WILDCARDS = "*?["


@dataclass(frozen=True)
class Entry:
    """What one name means.

    Attributes:
        kind: One of `KINDS`.
        what: One or two sentences.
        range: Smallest and largest value, with the unit; None where unbounded.
        better: Role to the better direction ("higher", "lower", or a phrase); empty where the name is not a number.
        read: How to read it, and its known weaknesses.
        same_as: The entry of the number itself, for a column of the README's tables.
        aliases: Other names under which it is printed.
    """

    name: str
    kind: str
    what: str
    range: str | None = None
    better: Mapping[str, str] = field(default_factory=dict)
    formula: str | None = None
    source: str | None = None
    read: str | None = None
    same_as: str | None = None
    aliases: tuple[str, ...] = ()


@cache
def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of `KINDS`."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    document = read_yaml(text)
    places = {key: {name: str(text) for name, text in values.items()} for key, values in document["places"].items()}
    places["mode"] = {f"forced_{name}": f"at {text}" for name, text in places["where"].items()} | MODES
    listed = {kind: list(_tasks() if kind == "task" else _expanded(document[kind], places)) for kind in KINDS}
    listed["metric"] += _declared(known={name for name, _ in listed["metric"]})
    return tuple(Entry(name=name, kind=kind, **_fields(values)) for kind in KINDS for name, values in listed[kind])


def _fields(values: Mapping) -> dict[str, object]:
    return {**values, "aliases": tuple(values.get("aliases", ())), "better": values.get("better", {})}


def _tasks() -> Iterator[tuple[str, dict]]:
    for name, line in describe_tasks():
        yield name, {"what": line[:1].upper() + line[1:] + "."}


def _declared(known: Set[str]) -> Iterator[tuple[str, dict]]:
    """The metrics that only their scorers describe: the head of the file, the range and the better direction."""
    for name in SCORERS.names():
        for metric in SCORERS.get(name).metrics:
            if metric.name not in known:
                low, high = (f"{bound:g}" for bound in metric.bounds)
                yield (
                    metric.name,
                    {
                        "what": f"{SCORERS.summary(name)}.",
                        "range": f"{low} and above" if high == "inf" else f"{low} .. {high}",
                        "better": {
                            role: "higher" if higher else "lower"
                            for role in get_args(Role)
                            if (higher := metric.direction(role)) is not None
                        },
                        "source": SCORERS.module(name).__name__,
                    },
                )


def _expanded(listed: Mapping[str, Mapping], places: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, dict]]:
    """Each entry once per value of the places that its name holds."""
    for pattern, values in listed.items():
        keys = [key for _, key, _, _ in Formatter().parse(pattern) if key]
        for chosen in product(*(places[key].items() for key in keys)):
            names = {key: name for key, (name, _) in zip(keys, chosen, strict=True)}
            texts = {key: text for key, (_, text) in zip(keys, chosen, strict=True)}
            yield pattern.format(**names), {**values, "what": values["what"].format(**texts)}


@cache
def _by_name() -> dict[str, list[Entry]]:
    """Every name and alias to its entries: `ls` is a metric and a task; a name wins over an alias."""
    found: dict[str, list[Entry]] = {}
    for entry in entries():
        found.setdefault(entry.name, []).append(entry)
    for entry in entries():
        for alias in entry.aliases:
            found.setdefault(alias, [entry])
    return found


def find(name: str) -> Entry | None:
    """The first entry of a name, an alias, `task/metric` or `diagnostic/number`; an option also as `--kfr-rule`.

    >>> find("nano_kfr/kfr").name, find("KFR").name, find("--kfr-rule").name, find("nothing")
    ('kfr', 'kfr', 'kfr_rule', None)
    """
    return next(iter(_matching(name)), None)


def _matching(name: str) -> list[Entry]:
    plain = name.strip()
    option = plain.removeprefix("--").replace("-", "_") if plain.startswith("--") else plain
    spellings = (plain, option, plain.rpartition("/")[2], plain.lower())
    return next((_by_name()[spelling] for spelling in spellings if spelling in _by_name()), [])


def describe(name: str) -> str | None:
    """One or two sentences on a metric, column, diagnostic number, task or option; None if it is unknown.

    Args:
        name: As it is printed; see `find`.
    """
    entry = find(name)
    return None if entry is None else entry.what


def lookup(name: str) -> list[Entry]:
    """All entries that a name or a pattern (`nano_*`, `*_residual`) means.

    Raises:
        UserError: for an unknown name; suggests the nearest.
    """
    if any(sign in name for sign in WILDCARDS):
        matching = [entry for entry in entries() if fnmatchcase(entry.name, name)]
    else:
        matching = _matching(name)
    if not matching:
        raise did_you_mean("name", name, _by_name())
    return matching
