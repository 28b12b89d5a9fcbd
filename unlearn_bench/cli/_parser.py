"""Parsing that answers a mistake with a line or two, not with pages of usage."""

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence

from unlearn_bench.errors import EXIT_USAGE, UserError, printable

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors name the nearest option or choice."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: object = None) -> argparse.Namespace:
        """As argparse; an unknown option is compared with those of the verb that was named."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            verb = self._verb(getattr(found, "verb", None))
            verb.error(f"unrecognized arguments: {' '.join(unknown)}", near=_near(unknown[0], verb.options()))
        return found

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


def add_former_name(parser: argparse._ActionsContainer, former: str, option: str, **settings: object) -> None:
    """Take an option under the name it had up to version 0.1 too, with a warning; not in the help."""

    class Former(argparse.Action):
        def __call__(
            self, parser: argparse.ArgumentParser, found: argparse.Namespace, value: object, *_: object
        ) -> None:
            sys.stderr.write(f"{parser.prog}: {former} is called {option} now; {former} goes away in 0.3\n")
            setattr(found, self.dest, value)

    dest = option.removeprefix("--").replace("-", "_")
    parser.add_argument(former, action=Former, dest=dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **settings)


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


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An option's type: a whole number in a range, both ends included."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:50]!r}") from None
        if value < least or (most is not None and value > most):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"expected a number {span}, got {text[:50]}")
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
    value = real(expected, lambda x: x > 0 and (x < 1 or x == int(x)))(text)
    return value if value < 1 else int(value)


def batch_size(text: str) -> int | str:
    """A number of rows, or `auto`."""
    return text if text == "auto" else whole(1)(text)


def names(text: str) -> tuple[str, ...]:
    """Names between commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
