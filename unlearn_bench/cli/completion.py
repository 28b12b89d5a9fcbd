"""Print a script that completes verbs, options and their values on the Tab key.

  bash        unlearn-bench completion bash > ~/.local/share/bash-completion/completions/unlearn-bench
  zsh         unlearn-bench completion zsh > ~/.zfunc/_unlearn-bench    (with ~/.zfunc in fpath, before compinit)
  fish        unlearn-bench completion fish > ~/.config/fish/completions/unlearn-bench.fish

The script is fixed text: the Tab key starts no Python. Print it again after an upgrade.
"""

import argparse

from unlearn_bench.errors import EXIT_OK, UserError

HELP = "print a script for the shell's completion (bash, zsh, fish, tcsh)"
SHELLS = ("bash", "zsh", "fish", "tcsh")
_FILES = ("FILE", "PATH", "DIR", "RESULT", "BOARD", "ROWS,…", "RESULT|BOARD", "BOARD|RESULT", "OLD", "SHEET")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from unlearn_bench.cli import build_parser

    try:
        import shtab
    except ImportError:
        raise UserError("completion needs shtab, which is not installed", hint="pip install shtab") from None
    parser = build_parser()
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, shell=args.shell))
    return EXIT_OK


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Tell options that take a path from those that take a word; choices that are looked up are written out."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                _complete_files(verb, files)
        elif action.choices is not None:
            action.choices = list(action.choices)
        elif action.metavar in _FILES:
            action.complete = files
