"""What a pull request changed in a board, and may not.

It may add entries, and replace entries of its own submitter. Everything else is the maintainers': rules, anchors,
metrics, pins, texts, other people's entries, and what history says.
"""

from collections.abc import Iterator, Mapping

from unlearn_bench.boards.board import Board, Entry, past_of
from unlearn_bench.boards.checks import pinned_by
from unlearn_bench.results.plausible import Problem

# What an entry's own submitter may correct without a new result.
_OWN_TEXTS = frozenset({"paper", "code", "notes", "relationship"})
_MAX_TEXT = 60


def problems(old: Board, new: Board, submitter: str | None = None) -> Iterator[Problem]:
    """Every change that is not an added entry, or the replaced entry of `submitter`.

    Args:
        old: The board before.
        new: The board as the pull request leaves it.
        submitter: Whose pull request it is, as its entries name them; None: unknown, so that it may only add.
    """
    yield from _head_problems(old, new)
    for name, rule in old.tasks.items():
        if name in new.tasks:
            yield from _pin_problems(name, rule.model_dump(), new)
    for entry in old.entries:
        now = new.entry(entry.name)
        if now is None:
            yield Problem("removed", f"{entry.name!r} was removed; entries stay, replaced ones as history")
        elif now != entry:
            yield from _entry_problems(entry, now, old, submitter)
    for entry in new.entries:
        if old.entry(entry.name) is None:
            yield from _new_problems(entry, submitter)


def _head_problems(old: Board, new: Board) -> Iterator[Problem]:
    """Changes outside of tasks and entries."""
    before, after = (board.model_dump(mode="json", exclude={"entries", "tasks"}) for board in (old, new))
    before["tasks"], after["tasks"] = sorted(old.tasks), sorted(new.tasks)
    for part, value in before.items():
        for where, one, other in _differences(value, after[part], part):
            yield Problem(part, f"{where} was {one}, and is {other}")


def _differences(old: object, new: object, where: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key[:_MAX_TEXT]}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{where}[{number}]")
    elif old != new:
        yield where, _short(old), _short(new)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _pin_problems(name: str, rule: Mapping[str, object], new: Board) -> Iterator[Problem]:
    """A pin that moved; one that was open may be filled with what an entry has."""
    now = new.tasks[name].model_dump()
    tasks = [entry.result.tasks[name] for entry in new.entries if name in entry.result.tasks]
    for field, value in rule.items():
        if now[field] == value:
            continue
        if value is not None or not any(pinned_by(task).get(field) == now[field] for task in tasks):
            yield Problem("pin_moved", f"task {name}: {field} was {_short(value)}, and is {_short(now[field])}")


def _entry_problems(old: Entry, new: Entry, board: Board, submitter: str | None) -> Iterator[Problem]:
    """Changes of an entry that was there."""
    changed = sorted(name for name in type(old).model_fields if getattr(old, name) != getattr(new, name))
    if submitter is None or old.submitter != submitter:
        whose = f"of {old.submitter!r}" if old.submitter else "that names no submitter"
        who = f"not of {submitter!r}" if submitter else "and --submitter names no one"
        yield Problem("not_yours", f"{old.name!r}: {', '.join(changed)} changed; it is an entry {whose}, {who}")
    if new.submitter != old.submitter:
        yield Problem("not_yours", f"{old.name!r}: its submitter was {old.submitter!r}, and is {new.submitter!r}")
    if new.result_sha256 == old.result_sha256:
        if wrong := [name for name in changed if name not in _OWN_TEXTS]:
            yield Problem("rewritten", f"{old.name!r}: {', '.join(wrong)} changed without a new result")
        return
    added = new.history[len(old.history) :]
    if new.history[: len(old.history)] != old.history:
        yield Problem("history", f"{old.name!r}: its history was rewritten")
    elif not added:
        yield Problem("history", f"{old.name!r} was replaced, and its history does not say so")
    elif len(added) > 1:
        yield Problem("history", f"{old.name!r} was replaced once, and its history says {len(added)} times")
    elif added[0] != past_of(old, board, replaced=new.submitted, because=added[0].because):
        yield Problem("history", f"{old.name!r}: what its history says is not what the entry said")
    if new.submitted < old.submitted:
        yield Problem("date", f"{old.name!r}: replaced at {new.submitted}, before it was submitted")


def _new_problems(entry: Entry, submitter: str | None) -> Iterator[Problem]:
    if entry.history:
        yield Problem("history", f"{entry.name!r} is new, and has a history")
    if submitter is not None and entry.submitter != submitter:
        yield Problem("not_yours", f"{entry.name!r} is of {entry.submitter!r}, and added by {submitter!r}")
