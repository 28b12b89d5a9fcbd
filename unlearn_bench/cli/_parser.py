"""Parsing that answers a mistake with a line or two, not with pages of usage."""

import argparse
import ast
import difflib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from unlearn_bench.errors import EXIT_USAGE, UserError, printable

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors name the nearest option or choice.

    Attributes:
        more_help: Makes the text at the end of the help; called when the help is printed.
    """

    more_help: Callable[[], str] | None = None

    def format_help(self) -> str:
        """As argparse, with what `more_help` says."""
        return super().format_help() + (f"\n{self.more_help()}\n" if self.more_help else "")

    def parse_args(self, args: Sequence[str] | None = None, namespace: object = None) -> argparse.Namespace:
        """As argparse; an unknown option is compared with those of the verb that was named."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            verb = self._verb(getattr(found, "verb", None))
            verb.error(f"unrecognized arguments: {' '.join(unknown)}", near=_near(unknown[0], verb.options()))
        return found

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse; a verb with `--config` takes the file's values for its defaults first."""
        if "--config" in self._option_string_actions and args:
            before = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            before.add_argument("--config")
            given, _ = before.parse_known_args([*args])
            if given.config is not None:
                from unlearn_bench.cli._config import take_config

                take_config(self, given.config)
        return super().parse_known_args(args, namespace)

    def error(self, message: str, near: str | None = None) -> None:
        """Print the message, the nearest of what there is, and where the help is; exit with 2."""
        lines = [f"{self.prog}: {printable(message)}"]
        chosen = _CHOICE.search(message)
        if near is None and chosen:
            near = _near(chosen[1], re.findall(r"[^\s',]+", chosen[2]))
        lines += [f"  did you mean {near}?"] if near else []
        lines += [f"  {self.prog} --help lists the options"]
        sys.stderr.write("\n".join(lines) + "\n")
        sys.exit(EXIT_USAGE)

    def _get_value(self, action: argparse.Action, text: str) -> object:
        """As argparse, for each value that is given; an empty one (`--model "$UNSET"`) would be this folder."""
        if action.type in (None, Path) and not text.strip() and not isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(
                action, f"expected {'a path' if action.type else 'a value'}, got {text[:50]!r}"
            )
        return super()._get_value(action, text)

    def options(self) -> list[str]:
        """Every `--option`."""
        return [text for action in self._actions for text in action.option_strings if text.startswith("--")]

    def _verb(self, name: str | None) -> "Parser":
        groups = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        return next((group.choices[name] for group in groups if name in group.choices), self)


def _near(name: str, known: Iterable[str]) -> str | None:
    """The nearest names; `--max_gen_toks` is one spelling of `--max-gen-toks`."""
    spelled = name.partition("=")[0].replace("_", "-")
    return " or ".join(difflib.get_close_matches(spelled, list(known), n=3, cutoff=0.6)) or None


def add_former_name(
    parser: argparse._ActionsContainer,
    former: str,
    option: str,
    *,
    gives: str | None = None,
    values: Mapping[str, str] | None = None,
    nargs: str | None = None,
) -> None:
    """Take an option under a name that it had earlier, with a warning on standard error; the help does not show it.

    Args:
        parser: What declares `option` already.
        former: The earlier name (`--parity`).
        option: The name now (`--rules`).
        gives: For a former switch: the value that replaces it.
        values: For values that have other names now: the earlier to the present one.
        nargs: As the former option had it, where the present one takes its values between commas.
    """
    target = parser._option_string_actions[option]
    switch = gives is not None or target.nargs == 0
    settings = {} if switch else {"type": _renamed(values, target.type), "choices": target.choices, "metavar": "X"}
    now = option if gives is None else f"{option} {gives}"

    class Former(argparse.Action):
        many = isinstance(target, Listed)

        def __call__(
            self, parser: argparse.ArgumentParser, found: argparse.Namespace, value: object, *_: object
        ) -> None:
            sys.stderr.write(f"{parser.prog}: {former} is called {now} now; {former} goes away in 0.3\n")
            if nargs:
                value = [name for part in value for name in part]
            target(parser, found, value if gives is None else gives, option)

    parser.add_argument(
        former,
        action=Former,
        dest=target.dest,
        nargs=0 if switch else nargs or target.nargs,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
        **settings,
    )


def _renamed(values: Mapping[str, str] | None, read: Callable[[str], object] | None) -> Callable[[str], object]:
    def renamed(text: str) -> object:
        name = (values or {}).get(text, text)
        return name if read is None else read(name)

    return renamed


class Listed(argparse.Action):
    """Several values: between commas, by giving the flag again, or both. The default is a tuple."""

    def __call__(
        self, parser: argparse.ArgumentParser, found: argparse.Namespace, value: Iterable[object], *_: object
    ) -> None:
        before = getattr(found, self.dest, self.default)
        given = () if before is self.default or before is None else before
        setattr(found, self.dest, tuple(dict.fromkeys((*given, *value))))


class Choices:
    """Choices that are looked up when a value is checked or the help is printed, so that start-up loads no registry."""

    def __init__(self, find: Callable[[], Iterable[str]]) -> None:
        self._find = find

    def __iter__(self) -> Iterator[str]:
        return iter(self._find())

    def __contains__(self, name: object) -> bool:
        return name in list(self)


def check_texts(args: argparse.Namespace) -> None:
    """Refuse what no file name and no name can hold: NUL, and bytes that are not UTF-8.

    Raises:
        UserError: with the option's name.
    """
    for name, value in vars(args).items():
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            option = name.replace("_", "-")
            if "\0" in text:
                raise UserError(f"--{option}: a NUL character cannot be part of a name")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise UserError(f"--{option} {text}: not UTF-8")


def _largest() -> int:
    from unlearn_bench.untrusted.strict_json import MAX_INTEGER

    return MAX_INTEGER


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An option's type: a whole number in a range, both ends included, and none that result.json could not hold."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:50]!r}") from None
        if value < least or (most is not None and value > most):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"expected a number {span}, got {text[:50]}")
        if value > (largest := _largest()):
            raise argparse.ArgumentTypeError(f"expected a number of at most {largest}, got {text[:50]}")
        return value

    return read


def real(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """An option's type: a finite number that `accepts` takes; `expected` says which."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not accepts(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text[:50]!r}")
        return value

    return read


def limit(text: str) -> float:
    """`--limit` as lm-eval reads it: a number of questions, or below 1 a share of each task's.

    >>> limit("12"), limit("0.1")
    (12, 0.1)
    """
    expected = "a number of questions, or a share between 0 and 1"
    value = real(expected, lambda x: 0 < x <= _largest() and (x < 1 or x == int(x)))(text)
    return value if value < 1 else int(value)


def batch_size(text: str) -> int | str:
    """A number of rows, or `auto`."""
    return text if text == "auto" else whole(1)(text)


def names(text: str) -> tuple[str, ...]:
    """Names between commas, each once; at least one: an empty `--metrics "$UNSET"` is a mistake, not "all"."""
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise argparse.ArgumentTypeError(f"expected names between commas, got {text[:50]!r}")
    return found


def wholes(least: int, most: int) -> Callable[[str], tuple[int, ...]]:
    """An option's type: whole numbers between commas, each from `least` to `most`."""
    return lambda text: tuple(map(whole(least, most), names(text)))


def whole_text(text: str) -> tuple[str, ...]:
    """One text, commas and all, for a flag that may be given several times."""
    return (text,)


def paths(text: str) -> tuple[str, ...]:
    """Files or DATASET:SPLIT between commas; a file whose own name has a comma is one path."""
    return (text,) if os.path.exists(text) else names(text)


def pairs(text: str) -> tuple[str, ...]:
    """`KEY=VALUE` between commas; a comma that no KEY= follows is part of the value.

    >>> pairs("npo.beta=0.2,memflex.layers=[1,2]")
    ('npo.beta=0.2', 'memflex.layers=[1,2]')
    """
    return tuple(piece.strip() for piece in re.split(r",(?=\s*[\w.-]+=)", text) if piece.strip())


def prices(text: str) -> tuple[float, float]:
    """Two numbers of at least 0 between commas: what tokens cost, sent and received."""
    pieces = text.split(",")
    if len(pieces) != 2:
        raise argparse.ArgumentTypeError(f"expected two numbers such as 0.27,1.10, got {text[:50]!r}")
    return AT_LEAST_0(pieces[0]), AT_LEAST_0(pieces[1])


def constant_names(module: str, name: str) -> list[str]:
    """Keys of a dictionary, or items of a tuple, of strings that a module assigns to `name`; nothing is imported.

    >>> constant_names("unlearn_bench.scorers.krr", "RULES")[-2:]
    ['paper', 'released']
    """
    spec = importlib.util.find_spec(module)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else ast.Module([], [])
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in {getattr(target, "id", None) for target in targets}:
            items = node.value.keys if isinstance(node.value, ast.Dict) else getattr(node.value, "elts", [])
            return [item.value for item in items if isinstance(item, ast.Constant)]
    return []


POSITIVE = whole(1)
UNIT = real("a number from 0 to 1", lambda x: 0 <= x <= 1)
AT_LEAST_0 = real("a number of at least 0", lambda x: x >= 0)
ABOVE_0 = real("a number above 0", lambda x: x > 0)
SHARE = real("a number above 0 and at most 1", lambda x: 0 < x <= 1)
SEED = whole(0, 2**32 - 1)
SEEDS = wholes(0, 2**32 - 1)


def rows(text: str) -> tuple[str, ...]:
    """Names of rows of a table between commas; a row's own name may have commas ("relearn, no variants")."""
    from unlearn_bench.reproduce import STUDIES

    known = {name for study in STUDIES.names() for name in STUDIES.get(study).rows}
    found, rest = [], text
    while rest.strip(" ,"):
        rest = rest.lstrip(" ,")
        fitting = [name for name in known if rest == name or rest.startswith(f"{name},")]
        name = max(fitting, key=len, default=rest.partition(",")[0])
        found.append(name.strip())
        rest = rest[len(name) :]
    if not found:
        raise argparse.ArgumentTypeError(f"expected rows of the table, got {text[:50]!r}")
    return tuple(found)


def add_action(
    actions: "argparse._SubParsersAction[Parser]", name: str, text: str, parser: argparse.ArgumentParser
) -> "Parser":
    """Declare an action of a verb (`nano build`), whose help looks like the verb's."""
    formatter = parser.formatter_class
    return actions.add_parser(name, help=text, description=text.capitalize(), formatter_class=formatter)
