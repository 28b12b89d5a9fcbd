"""Discovery by convention: a file's name is its key, and nothing central is edited.

Which members there are, what they are in one line and what they declare is read from their source: a list of names for
`--help` imports none of them (a loss would bring torch). A third party adds a member with an entry point, for example
in setup.cfg:

    [options.entry_points]
    unlearn_bench.scorers =
        my_score = my_package.my_score
"""

import ast
import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from unlearn_bench.errors import UserError

_MOST_NAMES, _MOST_LETTERS = 40, 100  # in one message


def did_you_mean(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for an unknown name: the nearest names, or all where they fit on a few lines."""
    known = sorted(known)
    as_written = {one.casefold(): one for one in reversed(known)}
    near = [as_written[one] for one in difflib.get_close_matches(name.casefold(), as_written, n=3, cutoff=0.5)]
    listed = ", ".join(known[:_MOST_NAMES]) + (f" and {len(known) - _MOST_NAMES} more" * (len(known) > _MOST_NAMES))
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed}"
    return UserError(f"unknown {kind} {f'{name[:_MOST_LETTERS]}…' if len(name) > _MOST_LETTERS else name!r}", hint=hint)


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
    def _members(self) -> dict[str, tuple[str, ModuleSpec]]:
        """Member name to where its module is; the package itself is not imported."""
        package = find_spec(self.package)
        if package is None:
            raise ModuleNotFoundError(f"no package {self.package}")
        found = {
            module.name: spec
            for module in pkgutil.iter_modules(package.submodule_search_locations)
            if module.name != "base" and not module.name.startswith("_")
            if (spec := module.module_finder.find_spec(module.name, None)) is not None
        }
        own = {name: (f"{self.package}.{name}", spec) for name, spec in found.items() if self._defines(spec)}
        for entry in entry_points(group=self.package):
            if entry.name in own:
                raise UserError(f"{self.kind} {entry.name!r} is defined twice: {own[entry.name][0]} and {entry.value}")
            own[entry.name] = (entry.value, self._installed(entry.name, entry.value))
        return own

    def _installed(self, name: str, module: str) -> ModuleSpec:
        """Where the module of an entry point is."""
        try:
            spec = find_spec(module)
        except ImportError:
            spec = None
        if spec is None or not self._defines(spec):
            raise UserError(
                f"the installed {self.kind} {name!r} names {module}, "
                + ("which cannot be imported" if spec is None else f"which defines no {self.attribute}"),
                hint=f"correct the entry point of {self.package}, or uninstall its package",
            )
        return spec

    def _defines(self, spec: ModuleSpec) -> bool:
        text = _text(spec.origin)
        name = re.escape(self.attribute)
        if re.search(rf"^(?:(?:def|class)\s+{name}\b|{name}\s*=)", text, re.MULTILINE):
            return True  # without parsing: `--help` asks this of every verb
        return bool(re.search(rf"\b{name}\b", text)) and self.attribute in _definitions(spec.origin)

    def names(self) -> list[str]:
        """All member names, sorted; imports no member."""
        return sorted(self._members)

    def summary(self, name: str) -> str:
        """First line of a member's docstring, without its full stop; imports nothing.

        Raises:
            UserError: if there is no such member; names the nearest.
        """
        return (ast.get_docstring(_tree(self._find(name)[1].origin)) or "").partition("\n")[0].removesuffix(".")

    def declared(self, name: str) -> dict[str, object]:
        """What a member's `ATTRIBUTE = Class(key=value, …)` says in literal values; imports nothing.

        >>> Registry("loss", "unlearn_bench.losses", "LOSS").declared("npo")["side"]
        'forget'

        Raises:
            UserError: if there is no such member; names the nearest.
        """
        value = _definitions(self._find(name)[1].origin)[self.attribute]
        if not isinstance(value, ast.Call):
            return {}
        return {key.arg: ast.literal_eval(key.value) for key in value.keywords if key.arg and _is_literal(key.value)}

    def module(self, name: str) -> ModuleType:
        """Import the module of one member.

        Raises:
            UserError: if there is no such member; names the nearest.
        """
        return importlib.import_module(self._find(name)[0])

    def get(self, name: str) -> object:
        """Return what the member's module defines as `attribute`."""
        return getattr(self.module(name), self.attribute)

    def _find(self, name: str) -> tuple[str, ModuleSpec]:
        if name not in self._members:
            raise did_you_mean(self.kind, name, self.names())
        return self._members[name]


@cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@cache
def _tree(path: str) -> ast.Module:
    """The syntax of a source file.

    Raises:
        UserError: if it is not Python.
    """
    try:
        return ast.parse(_text(path))
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: not Python: {error.msg}") from None


@cache
def _definitions(path: str) -> dict[str, ast.AST]:
    """What a source file defines or imports at its top level: name to the value, or to the statement."""
    found: dict[str, ast.AST] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def _is_literal(node: ast.AST) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
