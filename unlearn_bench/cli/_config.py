"""`--config FILE`: a YAML file of a verb's flags, for runs with many of them.

    model: nano-retain
    tasks: [nano_kfr, nano_krr]
    limit: 0.5
    rules: released

Keys are the flags' names, with dashes or underscores; values are read as on the command line, lists also as YAML lists,
switches as true and false. Flags of the command line win. Paths are those of the working folder. A secret has no place
here: a file is kept, copied and shown; name the variable that holds it (`--llm-api-key-env`).
"""

import argparse
import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from unlearn_bench import redact
from unlearn_bench.cli._parser import Listed
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean

MOST = 1 << 20  # bytes


def take_config(parser: argparse.ArgumentParser, path: str) -> None:
    """Make what a file says the parser's defaults.

    Args:
        parser: A verb's parser.
        path: The file.

    Raises:
        UserError: for an unreadable file, a key that is not a flag of the verb, or a value that the flag refuses.
    """
    flags = {
        name.removeprefix("--"): action
        for name, action in parser._option_string_actions.items()
        if name.startswith("--") and _takes_values(action)
    }
    for key, value in _read(path).items():
        name = str(key).replace("_", "-")
        if name not in flags:
            raise _unknown(path, str(key), flags)
        where = f"{path}: {key}"
        _refuse_secret(where, value)
        found = argparse.Namespace()
        try:
            _apply(parser, flags[name], f"--{name}", value, found)
        except (argparse.ArgumentError, argparse.ArgumentTypeError, ValueError) as error:
            raise UserError(f"{where}: {getattr(error, 'message', error)}") from None
        parser.set_defaults(**vars(found))
        for action in parser._actions:
            action.required = action.required and not hasattr(found, action.dest)


def _takes_values(action: argparse.Action) -> bool:
    """Whether a flag sets something: not --help, not --list-methods, not --config itself."""
    return action.dest not in ("help", "config", argparse.SUPPRESS) and not getattr(action, "shows", False)


def _read(path: str) -> Mapping[object, object]:
    import yaml

    from unlearn_bench.untrusted.strict_yaml import unique_keys

    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MOST + 1)
        if len(data) > MOST:
            raise UserError(f"--config {path}: larger than {MOST >> 20} MiB")
        document = yaml.load(data.decode("utf-8"), Loader=unique_keys())
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # `!!timestamp x`, 5,000 digits
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or (
            str(error) if type(error) is yaml.YAMLError else "it cannot be read"
        )
        raise UserError(f"--config {path}: not YAML: {problem}{place}") from None
    if not isinstance(document, Mapping):
        raise UserError(f"--config {path}: expected flags and values", hint="one a line, for example `limit: 10`")
    return document


def _unknown(path: str, key: str, flags: Mapping[str, argparse.Action]) -> UserError:
    if redact.is_secret_name(key):
        return UserError(
            f"{path}: {key}: a secret does not belong in a file",
            hint="set it in the environment; --llm-api-key-env names the variable",
        )
    shown = [name for name, action in flags.items() if action.help != argparse.SUPPRESS]
    return UserError(f"{path}: unknown flag {key!r}", hint=did_you_mean("flag", key.replace("_", "-"), shown).hint)


def _refuse_secret(where: str, value: object) -> None:
    text = json.dumps(value, default=str, ensure_ascii=False)
    if redact.redact(text) != text:
        raise UserError(f"{where}: this looks like a secret", hint="set it in the environment, and name the variable")


def _apply(
    parser: argparse.ArgumentParser, action: argparse.Action, flag: str, value: object, found: argparse.Namespace
) -> None:
    """Give a value to a flag's action, as the command line would."""
    if action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):  # a switch, or one that may have a value
        _switch(parser, action, flag, value, found)
        return
    if isinstance(value, bool) and {"on", "off"} <= set(action.choices or ()):
        value = "on" if value else "off"  # as YAML reads on and off
    many = isinstance(action, Listed) or getattr(action, "many", False)
    pieces = _texts(value, many=many, pairs="=" in str(action.metavar))
    for text in pieces:
        read = parser._get_value(action, text)
        if not many:
            parser._check_value(action, read)
        action(parser, found, read, flag)
    if not pieces:
        raise ValueError(f"expected a value, got {json.dumps(value)}")


def _switch(
    parser: argparse.ArgumentParser, action: argparse.Action, flag: str, value: object, found: argparse.Namespace
) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    if isinstance(action, argparse.BooleanOptionalAction):
        opposite = [name for name in action.option_strings if name.startswith("--no-") != flag.startswith("--no-")]
        action(parser, found, None, flag if value else opposite[0])
    elif value:
        action(parser, found, [], flag)
    # false is what a switch is without its flag


def _texts(value: object, *, many: bool, pairs: bool) -> list[str]:
    """A YAML value as the texts that a command line would give."""
    if isinstance(value, Mapping) and pairs:
        return [f"{key}={_plain(item)}" for key, item in value.items()]
    if isinstance(value, list) and many:
        return [_text(item) for item in value]
    return [_text(value)]


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | datetime.date):
        shown = "nothing" if value is None else json.dumps(value, default=str)
        raise ValueError(f"expected one value, got {shown}")
    return str(value)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
