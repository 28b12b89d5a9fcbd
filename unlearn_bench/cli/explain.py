"""Say what a printed name means: a metric, a table column, a diagnostic number, a task or a scoring option.

Examples:
  unlearn-bench explain kfr
  unlearn-bench explain 'entity_*' kfr_rule nano_krr
Without names: the list of all.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_OK

if TYPE_CHECKING:
    from unlearn_bench.glossary import Entry

HELP = "say what a metric, a diagnostic number, a task or a scoring option is"
WIDTH = 100
TITLES = {
    "metric": "Metrics",
    "column": "Columns of tables",
    "diagnostic": "Numbers of diagnose",
    "task": "Tasks",
    "option": "Scoring options",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="names as they are printed, or patterns")
    add(parser, "--json", " (a list of entries)")


def run(args: argparse.Namespace) -> int:
    """Print the entries of the names, or the list of all."""
    from unlearn_bench.glossary import entries, lookup

    if args.json:
        from dataclasses import asdict

        chosen = {(e.kind, e.name): e for name in args.names for e in lookup(name)}.values() or entries()
        print(json.dumps([asdict(entry) for entry in chosen], indent=2, ensure_ascii=False))
        return EXIT_OK
    if not args.names:
        sys.stdout.write(_listing(entries()))
        return EXIT_OK
    found = {(entry.kind, entry.name): entry for name in args.names for entry in lookup(name)}
    sys.stdout.write("\n".join(_entry(entry) for entry in found.values()))
    return EXIT_OK


def _listing(entries: Sequence["Entry"]) -> str:
    blocks = []
    for kind, title in TITLES.items():
        mine = [entry for entry in entries if entry.kind == kind]
        width = min(34, max(len(entry.name) for entry in mine))
        lines = [f"  {entry.name:<{width}}  {_first_sentence(entry.what)}\n" for entry in mine]
        blocks.append(f"{title}\n{''.join(lines)}")
    return "\n".join(blocks)


def _first_sentence(text: str) -> str:
    head = text.split(". ")[0].rstrip(".")
    return head if len(head) <= WIDTH else head[: WIDTH - 1] + "…"


def _entry(entry: "Entry") -> str:
    import textwrap

    from unlearn_bench.glossary import find

    lines = [("", entry.what), ("range", entry.range), ("better", _better(entry)), ("formula", entry.formula)]
    lines += [("source", entry.source), ("read", entry.read), ("also", ", ".join(entry.aliases))]
    text = f"{entry.name}  ({entry.kind})\n"
    for label, content in lines:
        if content:
            start = f"  {label:<8} " if label else "  "
            text += textwrap.fill(content, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) + "\n"
    return text + ("\n" + _entry(find(entry.same_as)) if entry.same_as else "")


def _better(entry: "Entry") -> str:
    directions: dict[str, list[str]] = {}
    for role, direction in entry.better.items():
        directions.setdefault(direction, []).append(role)
    return "; ".join(f"{direction} ({', '.join(roles)})" for direction, roles in directions.items())
