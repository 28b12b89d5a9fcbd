"""Flags that a verb would not read in the chosen combination: refused, because what is ignored in silence is missed."""

import argparse
from collections.abc import Callable, Collection, Mapping

from unlearn_bench.errors import UserError

Declare = Callable[[argparse.ArgumentParser], None]


def given(args: argparse.Namespace, declare: Declare) -> list[str]:
    """The flags of a verb whose values are not the defaults, in the order of its help.

    Args:
        args: What was parsed.
        declare: The verb's `add_arguments`.
    """
    parser = argparse.ArgumentParser(add_help=False)
    declare(parser)
    shown = [action for action in parser._actions if action.option_strings and action.help != argparse.SUPPRESS]
    return [_flag(action, args) for action in shown if _differs(action, args)]


def _differs(action: argparse.Action, args: argparse.Namespace) -> bool:
    default = action.default
    if default == argparse.SUPPRESS:
        return hasattr(args, action.dest)
    if isinstance(default, str) and action.type is not None:
        default = action.type(default)
    return getattr(args, action.dest, default) != default


def _flag(action: argparse.Action, args: argparse.Namespace) -> str:
    """The flag as it was written; of a switch with two forms the one that was chosen."""
    off = [name for name in action.option_strings if name.startswith("--no-")]
    return off[0] if off and getattr(args, action.dest) is False else action.option_strings[0]


def refuse(args: argparse.Namespace, declare: Declare, flags: Collection[str], why: str, hint: str = "") -> None:
    """Refuse flags of a verb that have no effect.

    Args:
        args: What was parsed.
        declare: The verb's `add_arguments`.
        flags: Those that must not be given.
        why: What follows the flag's name in the message.
        hint: What to do; by default to leave it out.

    Raises:
        UserError: naming the first of them that is given.
    """
    for flag in given(args, declare):
        if flag in flags:
            raise UserError(f"{flag} {why}", hint=hint or "leave it out")


def check_shared(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself in any verb.

    Raises:
        UserError: for a commit of the hub beside a folder in its place, or two formats of the output.
    """
    if getattr(args, "data_dir", None) and getattr(args, "data_revision", None):
        raise UserError("--data-revision is a commit of the hub, and --data-dir stands in its place", hint="name one")
    if getattr(args, "json", False) and getattr(args, "format", None) not in (None, "text", "json"):
        raise UserError(f"--json and --format {args.format} exclude each other", hint="name one")
    if getattr(args, "json", False) and getattr(args, "list", False):
        raise UserError("--json prints the table, and --list makes none", hint="leave one of them out")


_OF_AN_ENDPOINT = ("judge_key_env", "judge_json_mode", "judge_temperature", "judge_concurrency", "judge_prices")
_OF_A_JUDGE = ("judges", *_OF_AN_ENDPOINT)
_OF_A_CHAT_MODEL = ("llm_model", "llm_base_url", "llm_api_key_env", "llm_json_mode", "llm_concurrency", "llm_cache")
_BUILT_IN = ("rules", "lexical", "given", "nano-base", None)


def check_scoring(settings: Mapping[str, object]) -> None:
    """Refuse settings of judges and models that the chosen scoring does not ask.

    Args:
        settings: What was given, by name, and the profile.

    Raises:
        UserError: naming the first that would be ignored, and what it belongs to.
    """
    from unlearn_bench.evidence import profiles

    chosen = profiles.Settings(**{key: value for key, value in settings.items() if key in profiles.SETTINGS})
    uses_nli = chosen.choice("nli") not in _BUILT_IN or chosen.choice("agreement") == "nli"
    unused = [
        (chosen.judge is None and chosen.verdicts is None, (*_OF_A_JUDGE, "judge_cache", "weak_judge"),
         "no judge is asked", "--judge URL or a checkpoint"),
        (chosen.judge is not None and not chosen.is_endpoint, _OF_AN_ENDPOINT, "the judge is a checkpoint",
         "--judge URL"),
        (chosen.verdicts is not None, ("judge_cache",), "no judge is asked, its kept replies are read",
         "--judge without --verdicts"),
        (chosen.choice("entities") != "llm", _OF_A_CHAT_MODEL, "no part asks a chat model", "--entities llm"),
        (chosen.choice("agreement") != "local", ("agreement_embedder",), "agreement uses no embedder",
         "--agreement local"),
        (chosen.choice("embedder") in _BUILT_IN, ("embedder_revision",), "no embedder of the hub is used",
         "--similarity MODEL"),
        (not uses_nli, ("nli_revision", "nli_labels"), "no NLI model is used", "--nli MODEL"),
        (chosen.choice("ppl_model") in _BUILT_IN, ("ppl_revision",), "no perplexity model of the hub is used",
         "--ppl-model MODEL"),
    ]  # fmt: skip
    for idle, names, why, hint in unused:
        for name in names if idle else ():
            if name in settings:
                raise UserError(f"--{name.replace('_', '-')}: {why}", hint=f"leave it out, or name one: {hint}")
