"""The command line: one file per verb, each with `HELP`, `add_arguments(parser)` and `run(args) -> exit code`.

A verb's file parses and makes one call; it imports what is heavy inside `run`, so that `--help` stays fast.
"""

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from types import ModuleType

from unlearn_bench import __version__, redact
from unlearn_bench.cli._parser import Parser, check_texts
from unlearn_bench.cli._streams import calm_streams
from unlearn_bench.cli._unused import check_shared
from unlearn_bench.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, UserError, next_step, of_system, printable
from unlearn_bench.harness.quiet import quiet_libraries
from unlearn_bench.registry import Registry

TRACEBACK_VARIABLE = "UNLEARN_BENCH_TRACEBACK"
DESCRIPTION = "Did the checkpoint forget, did it retain, does it still speak?"
EXIT_CODES = """Results go to standard output, errors and progress to standard error. Exit codes:
  0    done, and the answer is good
  1    done, and the answer is bad: a regression, numbers that do not agree, rows left out, a training that diverged
  2    not done: bad input, nothing that can be compared, or an error
  3    undecided (check); a published log that a row was scored from is not at hand (verify)
  130  interrupted; start the same command again to go on"""
VERBS = Registry(kind="verb", package="unlearn_bench.cli", attribute="add_arguments")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the verb's own line breaks, show each default once, name numbers N and X, and keep the usage to a line."""

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], groups: object, *prefix: object) -> None:
        """Only what is needed: a usage of sixty options is not read, and they all stand below."""
        needed = [action for action in actions if action.required or not action.option_strings]
        optional = argparse.Action(["--OPTION …"], dest="", nargs=0)
        super().add_usage(usage, [optional, *needed], [], *prefix)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if "default:" in text or action.default in (None, "", ()) or isinstance(action.default, bool | list):
            return text
        if isinstance(action.default, tuple):
            return f"{text} (default: {','.join(map(str, action.default))})"
        return super()._get_help_string(action)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        return {int: "N", float: "X"}.get(action.type) or super()._get_default_metavar_for_optional(action)


def build_parser(only: str | None = None) -> Parser:
    """The whole command line, or where `only` is a verb that verb alone; nothing heavy is imported."""
    parser = Parser(prog="unlearn-bench", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=f"unlearn-bench {__version__}", help="show it and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog="unlearn-bench")
    names = VERBS.names()
    for name in [only] if only in names else names:
        module = VERBS.module(name)
        verb = verbs.add_parser(name, help=module.HELP, description=module.__doc__, formatter_class=_Formatter)
        module.add_arguments(verb)
        verb.more_help = getattr(module, "epilog", None)
        verb.set_defaults(module=module)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 good, 1 bad answer, 2 bad input, 3 undecided, 130 interrupted."""
    with calm_streams():
        try:
            given = sys.argv[1:] if argv is None else argv
            args = build_parser(given[0] if given else None).parse_args(given)
            quiet_libraries()
            return _run(args)
        except SystemExit as end:  # of argparse: --help, --version, or a mistake that it has named
            return end.code if isinstance(end.code, int) else EXIT_OK
        except UserError as error:  # of a --config file
            _say(f"unlearn-bench: {error}")
            return EXIT_USAGE
        except Exception as error:
            return _unforeseen(error)


def _run(args: argparse.Namespace) -> int:
    verb: ModuleType = args.module
    try:
        check_texts(args)
        check_shared(args)
        with redact.guarded():
            code = verb.run(args)
            sys.stdout.flush()  # report a full disk here, not when Python ends
            return code
    except UserError as error:
        _say(f"unlearn-bench {args.verb}: {error}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("\nunlearn-bench: interrupted; start the same command again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    except MemoryError:
        # not `_say`, whose imports may need the memory that is not there
        _print(f"unlearn-bench {args.verb}: the memory that this process may use is not enough (ulimit -v)")
        return EXIT_USAGE
    except BrokenPipeError:
        # The reader (`head`, a closed pager) has gone: stop quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USAGE
    except OSError as error:
        told = UserError(of_system(error), hint=next_step(error))
        _say(f"unlearn-bench {args.verb}: {told}")
        return EXIT_USAGE


def _unforeseen(error: Exception) -> int:
    """An error of this program, not of its user: one line, and exit code 2, as 1 would be read as a bad answer."""
    if os.environ.get(TRACEBACK_VARIABLE):
        told = "".join(traceback.format_exception(error))
        _print("\n".join(map(printable, redact.redact(told).splitlines())))
    what = f"{type(error).__name__}: {redact.brief(error)}"
    _say(f"unlearn-bench: internal error: {what}; set {TRACEBACK_VARIABLE}=1 to see where, and report it")
    return EXIT_USAGE


def _say(text: str) -> None:
    """Print an error; text that it repeats from a file cannot move the cursor or act as a CI command."""
    from unlearn_bench.untrusted.escape import lines

    _print(redact.redact(lines(text)))


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # standard error is closed: the exit code remains
        print(text, file=sys.stderr, flush=True)
