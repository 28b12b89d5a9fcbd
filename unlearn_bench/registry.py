"""Discovery by convention: a file's name is its key, and nothing central is edited.

A third party adds a member with an entry point, for example in setup.cfg:

    [options.entry_points]
    unlearn_bench.scorers =
        my_score = my_package.my_score
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from types import ModuleType

from unlearn_bench.errors import UserError

_MOST_NAMES = 40  # in one message


def did_you_mean(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for an unknown name: the nearest names, or all where they fit on a few lines."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    listed = ", ".join(known[:_MOST_NAMES]) + (f" and {len(known) - _MOST_NAMES} more" * (len(known) > _MOST_NAMES))
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed}"
    return UserError(f"unknown {kind} {name!r}", hint=hint)


@dataclass(frozen=True)
class Registry:
    """The modules of a package that define `attribute`, by file name.

    Args:
        kind: What a member is called in messages ("scorer").
        package: Its modules (but `base` and those with an underscore) are the members; also the entry-point group.
        attribute: The name that a module must define to be a member.
    """

    kind: str
    package: str
    attribute: str

    @cached_property
    def _targets(self) -> dict[str, str]:
        path = importlib.import_module(self.package).__path__
        modules = [m.name for m in pkgutil.iter_modules(path) if m.name != "base" and not m.name.startswith("_")]
        names = {name: f"{self.package}.{name}" for name in modules}
        for entry in entry_points(group=self.package):
            if entry.name in names:
                raise UserError(f"{self.kind} {entry.name!r} is defined twice: {names[entry.name]} and {entry.value}")
            names[entry.name] = entry.value
        return names

    def names(self) -> list[str]:
        """All member names, sorted; imports the modules to see which are members."""
        return sorted(name for name in self._targets if self._is_member(name))

    def module(self, name: str) -> ModuleType:
        """Import the module of one member.

        Raises:
            UserError: if there is no such member; names the nearest.
        """
        if name not in self._targets or not self._is_member(name):
            raise did_you_mean(self.kind, name, self.names())
        return importlib.import_module(self._targets[name])

    def get(self, name: str) -> object:
        """Return what the member's module defines as `attribute`."""
        return getattr(self.module(name), self.attribute)

    def _is_member(self, name: str) -> bool:
        return hasattr(importlib.import_module(self._targets[name]), self.attribute)
