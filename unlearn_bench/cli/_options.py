"""Options that choose how answers are scored: the same words for `run`, `score` and whatever scores next.

Each option's name is that of a field of `profiles.Settings` or of a scorer's option. Nothing is set that was not given,
so the profile and the scorers keep their own defaults.
"""

import argparse
from pathlib import Path

# by name here, so that --help imports no scorer; a test holds them against the scorers' own
CHOICES = {
    "profile": ("offline", "standard", "paper"),
    "kfr_rule": ("table", "paper", "released"),
    "krr_rule": ("paper", "released"),
    "matching": ("one_to_one", "released"),
    "question_words": ("symmetric", "released", "keep"),
    "empty_reference": ("unscored", "forgotten"),
    "llm_json_mode": ("json_schema", "json_object", "none"),
    "scorer_dtype": ("float32", "bfloat16", "float16"),
}
_PART_FLAGS = {"embedder": "--similarity", "nli": "--nli", "ppl": "--ppl-model"}
_TRUST = ("allow_pickle", "trust_remote_code")  # a verb that declares them means its scoring models too
PARTS = ("entities", "embedder", "nli", "ppl_model")

_PARTS_HELP = {
    "--entities": ("HOW", "rules, llm, or given (what came with the answers)"),
    "--similarity": ("HOW", "when two entities are one: lexical, minilm-l6, a sentence-transformers model, or given"),
    "--nli": ("HOW", "does it contradict? rules, given, or a sequence-classification model"),
    "--ppl-model": ("HOW", "perplexity under: smollm2-135m, nano-base, any causal language model, or given"),
}
_RULES_HELP = {
    "--kfr-rule": "when an answer is forgotten (default: table, as in the paper's published tables)",
    "--krr-rule": "when an answer is retained: coverage > 0.3 (paper) or >= 0.3 (default: paper)",
    "--matching": "one reference entity, one of the answer; or every matching pair counts (default: one_to_one)",
    "--question-words": "words of the question among the entities (default: symmetric, dropped on both sides)",
    "--empty-reference": "what a reference without entities is; the paper's code: forgotten (default: unscored)",
}


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the scoring options; `scoring_settings` reads them."""
    parts = parser.add_argument_group("scoring: parts")
    _choice(parts, "--profile", "the parts that score (default: offline, which downloads nothing)")
    for flag, (metavar, text) in _PARTS_HELP.items():
        names = ("--similarity", "--embedder") if flag == "--similarity" else (flag,)
        dest = "embedder" if flag == "--similarity" else None
        extra = {"dest": dest} if dest else {}
        parts.add_argument(
            *names, metavar=metavar, default=argparse.SUPPRESS, help=f"{text} (default: profile's)", **extra
        )
    _value(parts, "--nli-labels", "A,B,C", "names of the NLI model's outputs in order, if its config names none")
    _value(
        parts,
        "--ppl-prompt",
        "STYLE",
        "how the perplexity model is asked: auto, chat, plain, released (default: auto)",
    )
    _value(
        parts, "--similarity-threshold", "X", "similarity from which two entities count as one (paper: 0.8)", kind=float
    )

    rules = parser.add_argument_group("scoring: rules")
    for flag, text in _RULES_HELP.items():
        _choice(rules, flag, text)
    _value(rules, "--empty-perplexity", "X", "what an empty answer counts as: worst, drop or a number (default: worst)")
    rules.add_argument(
        "--parity",
        action="store_true",
        help="all as in the paper's code, ramblings scored too; rules given beside it still count",
    )

    models = parser.add_argument_group("scoring: models")
    for part in ("embedder", "nli", "ppl"):
        _value(models, f"--{part}-revision", "COMMIT", f"commit of the hub model of {_PART_FLAGS[part]}")
    _value(models, "--scorer-device", "DEVICE", "where scoring models run (default: cuda where there is one)")
    _choice(models, "--scorer-dtype", "their weights' type (default: float32)")
    _value(models, "--scorer-batch-size", "N", "most texts in a batch (default: 32)", kind=int)
    _value(models, "--llm-model", "NAME", "chat model for --entities llm")
    _value(models, "--llm-base-url", "URL", "its OpenAI-compatible endpoint")
    _value(models, "--llm-api-key-env", "NAME", "variable that holds its key (default: OPENAI_API_KEY)")
    _choice(models, "--llm-json-mode", "how JSON is asked for (default: json_object)")
    _value(models, "--llm-concurrency", "N", "requests at the same time (default: 8)", kind=int)
    _value(models, "--llm-cache", "DIR", "folder that keeps its answers")


def _choice(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    choices = CHOICES[flag.removeprefix("--").replace("-", "_")]
    group.add_argument(flag, choices=choices, default=argparse.SUPPRESS, help=text)


def _value(group: argparse._ArgumentGroup, flag: str, metavar: str, text: str, *, kind: type = str) -> None:
    group.add_argument(flag, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text)


def add_prompt_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare how the judged model is asked."""
    group.add_argument("--prompt", default="auto", help="auto, chat, qa, tofu or plain")
    group.add_argument(
        "--thinking",
        choices=("model", "on", "off"),
        default="model",
        help="the switch of chat templates that have one (default: model, which is the template's own)",
    )
    group.add_argument(
        "--template-date",
        metavar="YYYY-MM-DD",
        help="date that chat templates write; also: today (default: 2024-07-26)",
    )


def template_date(args: argparse.Namespace) -> str:
    """What `--template-date` says, as YYYY-MM-DD.

    Raises:
        UserError: if it is no date.
    """
    from unlearn_bench.chat_template import DATE, read_date

    return read_date(args.template_date or DATE)


def scoring_settings(args: argparse.Namespace) -> dict[str, object]:
    """What the scoring options say: profile and parts as `profiles.parts_from` takes them, and the scorers' options.

    Only what was given, and always the profile.
    """
    given = {name: getattr(args, name) for name in _names() if hasattr(args, name)}
    given |= {name: True for name in _TRUST if getattr(args, name, False)}
    return {"profile": "offline", **(_released() if args.parity else {}), **given}


def _released() -> dict[str, object]:
    from unlearn_bench.evidence.pipeline import RELEASED

    return {**RELEASED, "ppl_prompt": "released"}


def _names() -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_scoring_arguments(parser)
    return [action.dest for action in parser._actions if action.dest != "parity"]


def add_calibration_argument(parser: argparse._ActionsContainer) -> None:
    """The option of every verb that shows KFR and KRR."""
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="show KFR and KRR without the judge's error too; `unlearn-bench calibrate` writes the file",
    )
