"""Options that choose how answers are scored: the same words in `run`, `score`, `verify` and other verbs.

Each option's name is that of a field of `evidence.settings.Settings` or of a scorer's option. Nothing is set that was
not given, so the profile and the scorers keep their own defaults.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from unlearn_bench.cli import _parser
from unlearn_bench.cli._unused import check_scoring
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean

PARTS = ("entities", "embedder", "nli", "ppl_model")
_TRUST = ("allow_pickle", "trust_remote_code")  # a verb that declares them means its scoring models too
_PART_FLAGS = {"embedder": "--similarity", "nli": "--nli", "ppl": "--ppl-model"}
_PARITIES = ("relearn", "open-unlearning")
_OWN = ("rules", "scorer_option")  # options that are not settings by themselves

_PARTS_HELP = {
    "--entities": "rules, llm, or given (what came with the answers)",
    "--similarity": "when two entities are one: lexical, minilm-l6, a sentence-transformers model, or given",
    "--nli": "does it contradict? rules, given, or a sequence-classification model",
    "--ppl-model": "perplexity under: smollm2-135m, nano-base, any causal language model, or given",
}
_CHOICES_HELP = {
    "--kfr-rule": "when an answer is forgotten (default: auto, agreement where the profile has it, else table)",
    "--krr-rule": "when an answer is retained (default: auto, agreement where the profile has it, else paper)",
    "--matching": "one reference entity, one of the answer; or every matching pair counts (default: one_to_one)",
    "--question-words": "words of the question among the entities (default: symmetric, dropped on both sides)",
    "--empty-reference": "what a reference without entities is; the paper's code: forgotten (default: unscored)",
}


# by name here, so that --help imports no scorer; a test holds them against the scorers' own
CHOICES: dict[str, Iterable[str]] = {
    "profile": _parser.Choices(lambda: _parser.constant_names("unlearn_bench.evidence.settings", "PROFILES")),
    "kfr_rule": _parser.Choices(lambda: _parser.constant_names("unlearn_bench.scorers.kfr", "RULES")),
    "krr_rule": _parser.Choices(lambda: _parser.constant_names("unlearn_bench.scorers.krr", "RULES")),
    "agreement": _parser.Choices(lambda: _parser.constant_names("unlearn_bench.evidence.settings", "AGREEMENT")),
    "matching": ("one_to_one", "released"),
    "question_words": ("symmetric", "released", "keep"),
    "empty_reference": ("unscored", "forgotten"),
    "ppl_prompt": ("auto", "chat", "plain", "released"),
    "llm_json_mode": ("json_schema", "json_object", "none"),
    "scorer_dtype": ("float32", "bfloat16", "float16"),
    "judge_json_mode": ("json_schema", "json_object", "none"),
}


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the scoring options; `scoring_settings` reads them."""
    parts = parser.add_argument_group("scoring: parts")
    _choice(parts, "--profile", "the parts that score (default: offline, which downloads nothing)")
    for flag, text in _PARTS_HELP.items():
        dest = {"dest": "embedder"} if flag == "--similarity" else {}
        _value(parts, flag, "HOW", f"{text} (default: profile's)", **dest)
    _parser.add_former_name(parts, "--embedder", "--similarity")
    _choice(
        parts,
        "--agreement",
        "does the whole answer state it? local: rules and --agreement-embedder; nli: entailment under --nli (default: "
        "profile's; none with a chosen part)",
    )
    _value(parts, "--agreement-embedder", "MODEL", "sentence-transformers model of local (default: minilm-l6)")
    _value(parts, "--nli-labels", "A,B,C", "names of the NLI model's outputs in order, if its config names none")
    _choice(parts, "--ppl-prompt", "how the perplexity model is asked (default: auto)")
    _value(
        parts,
        "--similarity-threshold",
        "X",
        "similarity from which two entities count as one (paper: 0.8)",
        type=_parser.UNIT,
    )

    rules = parser.add_argument_group("scoring: rules")
    _value(
        rules,
        "--rules",
        "SET",
        "%(choices)s; released: all as in the paper's code, ramblings scored too; rules given with it still count "
        "(default: default)",
        choices=("default", "released"),
    )
    rules.add_argument(
        "--parity",
        action=_Parity,
        nargs="?",
        metavar="CODE",
        default=argparse.SUPPRESS,
        help=f"count as public code does, quirks included: {', '.join(_PARITIES)}; open-unlearning also ends answers "
        "as there (--answer-end) and leaves prompts to --prompt and --template-date; relearn: --rules released",
    )
    for flag, text in _CHOICES_HELP.items():
        _choice(rules, flag, text)
    _value(rules, "--empty-perplexity", "X", "what an empty answer counts as: worst, drop or a number (default: worst)")
    _value(
        rules,
        "--scorer-option",
        "NAME=VALUE",
        "any other option of a scorer, such as kfr_threshold=0.4,rouge_stemmer=false (`explain NAME` says what it is)",
        action=_parser.Listed,
        type=_parser.pairs,
    )

    models = parser.add_argument_group("scoring: models")
    for part in ("embedder", "nli", "ppl"):
        _value(models, f"--{part}-revision", "COMMIT", f"commit of the hub model of {_PART_FLAGS[part]}")
    _value(models, "--scorer-device", "DEVICE", "where scoring models run (default: cuda where there is one)")
    _choice(models, "--scorer-dtype", "their weights' type (default: float32)")
    _value(models, "--scorer-batch-size", "N", "most texts in a batch (default: 32)", type=_parser.POSITIVE)
    add_llm_arguments(models, "for --entities llm")
    _add_judge_arguments(parser.add_argument_group("scoring: judges (a language model gives verdicts)"))


def _add_judge_arguments(group: argparse._ArgumentGroup) -> None:
    _value(group, "--judge", "URL|MODEL", "an OpenAI-compatible endpoint, up to /v1, or a checkpoint (smollm2-135m)")
    _value(group, "--judge-model", "NAME", "the model's name at the endpoint")
    _value(
        group,
        "--judges",
        "A,B,…",
        "which: forget, retain, fluency, relevance (default: all that mean something on the answers' role)",
        action=_parser.Listed,
        type=_parser.names,
    )
    _value(group, "--judge-key-env", "NAME", "variable that holds the endpoint's key (default: OPENAI_API_KEY)")
    _choice(group, "--judge-json-mode", "how JSON is asked for (default: json_object)")
    _value(group, "--judge-temperature", "X", "of the endpoint (default: 0)", type=_parser.AT_LEAST_0)
    _value(group, "--judge-concurrency", "N", "requests at the same time (default: 8)", type=_parser.POSITIVE)
    _value(group, "--judge-prices", "IN,OUT", "per million tokens, to count the cost", type=_parser.prices)
    _value(group, "--judge-cache", "FILE", "keeps the replies (default: verdicts.jsonl in --output)")
    _value(group, "--verdicts", "FILE", "replies that were kept, in place of asking: no key, no network")
    group.add_argument(
        "--weak-judge",
        action="store_true",
        default=argparse.SUPPRESS,
        help="count a judge that fails its planted cases too; its numbers are marked",
    )


class _Parity(argparse.Action):
    """`--parity CODE`; without a name it is the former switch of `--rules released`."""

    def __call__(
        self, parser: argparse.ArgumentParser, found: argparse.Namespace, value: object, option: str | None = None
    ) -> None:
        if not value:
            sys.stderr.write(f"{parser.prog}: --parity is called --rules released now; --parity goes away in 0.3\n")
        elif value not in _PARITIES:
            parser.error(f"argument --parity: expected {' or '.join(_PARITIES)}, got {value!r}")
        if value == "open-unlearning":
            found.parity = value
        else:
            found.rules = "released"


def add_llm_arguments(group: argparse._ArgumentGroup, purpose: str, cache: str = "") -> None:
    """Declare how a chat model behind an endpoint is asked."""
    _value(group, "--llm-model", "NAME", f"chat model at the endpoint, {purpose}")
    _value(group, "--llm-base-url", "URL", "its OpenAI-compatible endpoint, up to /v1")
    _value(group, "--llm-api-key-env", "NAME", "variable that holds its key (default: OPENAI_API_KEY)")
    _choice(group, "--llm-json-mode", "how JSON is asked for (default: json_object)")
    _value(group, "--llm-concurrency", "N", "requests at the same time (default: 8)", type=_parser.POSITIVE)
    _value(group, "--llm-cache", "DIR", f"folder that keeps its answers{cache}")


def _choice(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    choices = CHOICES[flag.removeprefix("--").replace("-", "_")]
    looked_up = {"metavar": "NAME"} if isinstance(choices, _parser.Choices) else {}
    text = f"{text}: %(choices)s" if looked_up else text
    group.add_argument(flag, choices=choices, default=argparse.SUPPRESS, help=text, **looked_up)


def _value(group: argparse._ArgumentGroup, flag: str, metavar: str, text: str, **settings: object) -> None:
    group.add_argument(flag, metavar=metavar, default=argparse.SUPPRESS, help=text, **settings)


def scoring_settings(args: argparse.Namespace) -> dict[str, object]:
    """What the scoring options say: profile and parts as `profiles.parts_from` takes them, and the scorers' options.

    Only what was given, and always the profile.

    Raises:
        UserError: if `--scorer-option` names no option of a scorer, or a value of another type than its default, or a
            setting belongs to a judge or model that is not asked.
    """
    given = {name: getattr(args, name) for name in _names() if hasattr(args, name)}
    given |= {name: True for name in _TRUST if getattr(args, name, False)}
    named = _scorer_options(args.scorer_option) if hasattr(args, "scorer_option") else {}
    settings = {"profile": "offline", **(_released() if is_released(args) else {}), **named, **given}
    check_scoring(settings)
    return settings


def keep_verdicts(scoring: dict[str, object], folder: Path | None) -> None:
    """Let the judges' replies be kept in the result's folder, where a judge is asked and no other file is named."""
    if folder is not None and "judge" in scoring and not {"judge_cache", "verdicts"} & scoring.keys():
        scoring["judge_cache"] = str(folder / "verdicts.jsonl")


def is_released(args: argparse.Namespace) -> bool:
    """Whether the rules of the paper's released code were asked for as a whole."""
    return getattr(args, "rules", None) == "released"


def _released() -> dict[str, object]:
    from unlearn_bench.evidence.pipeline import RELEASED

    return {**RELEASED, "ppl_prompt": "released"}


def _scorer_options(given: Iterable[str]) -> dict[str, object]:
    from unlearn_bench.evidence.pipeline import default_options

    return read_pairs(given, "--scorer-option", default_options())


def read_pairs(pairs: Iterable[str], flag: str, defaults: Mapping[str, object]) -> dict[str, object]:
    """`NAME=VALUE`, the value with the type of the name's default.

    Raises:
        UserError: for another form, an unknown name, or a value of another type.
    """
    found: dict[str, object] = {}
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UserError(f"{flag} {pair}: expected NAME=VALUE", hint=f"example: {flag} kfr_threshold=0.4")
        if key not in defaults:
            raise did_you_mean(f"option of a scorer in {flag}", key, defaults)
        found[key] = _typed(text, defaults[key], f"{flag} {key}")
    return found


def _typed(text: str, default: object, what: str) -> object:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise UserError(f"{what}: expected true or false, got {text!r}")
        return text.lower() == "true"
    read: Callable[[str], object] = str
    if isinstance(default, int):
        read = _parser.whole(0)
    elif isinstance(default, float):
        read = _parser.AT_LEAST_0
    try:
        return read(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{what}: {error}") from None


def _names() -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_scoring_arguments(parser)
    return list(dict.fromkeys(action.dest for action in parser._actions if action.dest not in _OWN))
