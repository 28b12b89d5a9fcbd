"""Make ReLearn's training data from pairs that are to be forgotten: question variants with vague, verified answers.

Writers:
  rules   paraphrase rules and a bank of vague sentences: deterministic, offline, for any English pairs
  openai  a chat model behind any OpenAI-compatible endpoint; answers are kept, so a killed run goes on where it was
  hf      an instruction-tuned model in this process

FILE given to --dataset is also what `train --forget` reads (JSON, JSON lines, .csv or .tsv of question and answer under
any of their usual names; conversations of one question). Written are OUTPUT (JSON lines that `train --forget` reads,
each with its provenance, by which `train` knows that its answer was augmented), OUTPUT.summary.json (counts per kind,
leak rate before and after verification, retries, tokens and cost) and, if there are any, OUTPUT.failed.jsonl (texts
that no try made good). The exit code is 1 if any text failed. No row holds an original pair.

The built-in generic data are 180 pairs with 60 answers, nano's come from its training; where more rows are wanted, all
pairs are taken again and again (a forget set of 128 pairs wants 1280 generic rows: each pair about 7 times).

Examples:
  unlearn-bench augment --dataset nano --output nano_relearn.jsonl
  unlearn-bench train --method relearn --model nano-full --forget nano_relearn.jsonl --retain nano:retain --output out
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.cli._flags import add, add_trust
from unlearn_bench.cli._unused import given, refuse
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from unlearn_bench.augment.run import AugmentSpec

HELP = "make ReLearn's training data: vague answers to many forms of each question"
_VARIANTS = ("simple", "context", "noise", "logical")  # by name here, so that --help imports nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags have the names of `AugmentSpec`'s fields; a flag left out takes the field's default."""
    add(parser, "--config")
    unset = argparse.SUPPRESS
    what = parser.add_argument_group("what")
    add(
        what,
        "--dataset",
        ", one of them with a split (tofu:forget05), or a file of pairs",
        required=True,
    )
    what.add_argument("--split", default=unset, help="of the dataset (default: the one to be forgotten)")
    for name in ("--data-dir", "--data-revision", "--limit"):
        add(what, name, default=unset)
    add(what, "--output", ": file of the training rows, JSON lines", required=True)
    add(what, "--overwrite", ": a file that this verb did not write")
    add(what, "--seed", default=0)
    add(what, "--quiet")
    add(what, "--json", " (the summary)")
    _stages(parser.add_argument_group("stages"))
    _writer(parser.add_argument_group("writer"))


def _stages(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument(
        "--variants",
        action=_parser.Listed,
        type=_variants,
        default=_VARIANTS,
        metavar="A,B,…",
        help="of each question; none for none",
    )
    group.add_argument("--no-verify", dest="verify", action="store_false", help="accept answers that give things away")
    group.add_argument(
        "--strict-secrets",
        action=argparse.BooleanOptionalAction,
        default=unset,
        help='every content word of the sensitive answer is a secret, ordinary ones like "town" too '
        "(default: for --writer rules with its own bank)",
    )
    _parser.add_former_name(group, "--strict", "--strict-secrets")
    _parser.add_former_name(group, "--no-strict", "--no-strict-secrets")
    group.add_argument(
        "--tries", type=_parser.POSITIVE, default=unset, metavar="N", help="for each text (default: the writer's own)"
    )
    group.add_argument("--no-completion", dest="completion", action="store_false", help="no sentence completions")
    group.add_argument(
        "--completion-share",
        type=_parser.real("a number between 0 and 1", lambda x: 0 < x < 1),
        default=0.25,
        metavar="X",
        help="of an answer's words as prompt",
    )
    group.add_argument(
        "--generic",
        default=unset,
        metavar="builtin|nano|FILE",
        help="pairs that have nothing to do with the forget set (default: nano for nano, else builtin)",
    )
    group.add_argument(
        "--generic-ratio", type=_parser.AT_LEAST_0, default=1.0, metavar="X", help="generic rows for each other row"
    )
    group.add_argument(
        "--with-original-answer",
        action="store_true",
        help="add the sensitive answer as original_answer, which only relearn_dpo reads",
    )


def _writer(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument("--writer", choices=("rules", "openai", "hf"), default="rules", help="who writes the texts")
    group.add_argument(
        "--register",
        choices=("auto", "builtin"),
        default="auto",
        help="rules: vague sentences; auto takes those that the embedded models speak for nano, else the built-in bank",
    )
    group.add_argument(
        "--verifier",
        choices=("rules", "both"),
        default=unset,
        help="who looks for leaks: the rules, or also the writer's model (default: both for openai, else rules)",
    )
    _options.add_llm_arguments(group, "for --writer openai", cache=" (default: OUTPUT.cache)")
    group.add_argument("--llm-timeout", type=_parser.ABOVE_0, default=120.0, metavar="SECONDS", help="without a byte")
    group.add_argument(
        "--llm-retries", type=_parser.whole(0), default=6, metavar="N", help="after a fault of a request"
    )
    group.add_argument("--llm-temperature", type=_parser.AT_LEAST_0, default=0.7, metavar="X", help="of sampling")
    group.add_argument(
        "--llm-prices",
        type=_parser.prices,
        default=unset,
        metavar="IN,OUT",
        help="per million tokens, to count the cost",
    )
    group.add_argument("--writer-model", default=unset, metavar="MODEL", help="hf: folder or hub id")
    add(group, "--device", ", for --writer hf", default=unset)
    add(group, "--batch-size", ", for --writer hf", default=8)
    add_trust(group, partial=False)


def _variants(text: str) -> tuple[str, ...]:
    return () if text == "none" else _parser.names(text)


def run(args: argparse.Namespace) -> int:
    """Augment, write the files, show the summary."""
    from unlearn_bench.augment.run import run as augment
    from unlearn_bench.cli._augment_output import bar, show

    _refuse_unused(args)
    with bar(quiet=args.quiet or args.json) as progress:
        made = augment(_spec(args), progress)
    if args.json:
        print(json.dumps(made.summary, indent=2, ensure_ascii=False))
    elif not args.quiet:
        show(made.summary, args.output)
    if made.outcome.failed:
        failed = f"{len(made.outcome.failed)} texts failed every try"
        print(f"unlearn-bench augment: {failed}; see {args.output}.failed.jsonl", file=sys.stderr)
    return EXIT_FAILED if made.outcome.failed else EXIT_OK


def _refuse_unused(args: argparse.Namespace) -> None:
    """What the chosen writer and stages would not read is a mistake."""
    flags = given(args, add_arguments)
    if args.writer != "openai":
        of_endpoint = {flag for flag in flags if flag.startswith("--llm-")}
        refuse(args, add_arguments, of_endpoint, f"is for --writer openai, and the writer is {args.writer}")
    if args.writer != "hf":
        of_model = ("--writer-model", "--device", "--batch-size", "--allow-pickle", "--trust-remote-code")
        refuse(args, add_arguments, of_model, f"is for --writer hf, and the writer is {args.writer}")
    if args.writer != "rules":
        refuse(args, add_arguments, ("--register",), f"is for --writer rules, and the writer is {args.writer}")
    if not args.completion:
        refuse(args, add_arguments, ("--completion-share",), "has no effect beside --no-completion")
    if not args.verify:
        refuse(args, add_arguments, ("--verifier",), "has no effect beside --no-verify")
    if args.generic_ratio == 0:
        refuse(args, add_arguments, ("--generic",), "has no effect beside --generic-ratio 0")


def _spec(args: argparse.Namespace) -> "AugmentSpec":
    from unlearn_bench.augment.run import AugmentSpec

    return AugmentSpec(**{name: getattr(args, name) for name in AugmentSpec.__dataclass_fields__ if name in args})
