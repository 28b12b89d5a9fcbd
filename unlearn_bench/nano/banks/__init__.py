"""Word and phrase banks of the corpus, as JSON files."""

import json
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def bank(name: str) -> dict:
    """Read `banks/<name>.json`; the caller must not change what it gets."""
    return json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))


@cache
def kind(name: str) -> dict[str, list[str]]:
    """Read the phrasings of one kind of fact: `questions`, `held_out`, `answers`, `vague`."""
    return json.loads((_HERE / "kinds" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def kind_names() -> tuple[str, ...]:
    """All kinds of facts about a person, sorted."""
    return tuple(sorted(path.stem for path in (_HERE / "kinds").glob("*.json")))
