"""Make ReLearn's training data from pairs that are to be forgotten: question variants with vague, verified answers.

Writers:
  rules   paraphrase rules and a bank of vague sentences: deterministic, offline, for any English pairs
  openai  a chat model behind any OpenAI-compatible endpoint; answers are kept, so a killed run goes on where it was
  hf      an instruction-tuned model in this process

FILE given to --dataset is what `train --forget` reads, too (JSON, JSON lines, .csv or .tsv of question and answer under
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
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlearn_bench.augment.local_chat import LocalChat
    from unlearn_bench.augment.pipeline import Progress, Settings
    from unlearn_bench.augment.rows import Source, Writer
    from unlearn_bench.llm import ChatClient

HELP = "make ReLearn's training data: vague answers to many forms of each question"
_VARIANTS = ("simple", "context", "noise", "logical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_argument_group("what")
    what.add_argument(
        "--dataset",
        required=True,
        metavar="NAME|FILE",
        help="nano, tofu, knowundo, one of them with a split (tofu:forget05), or a file of pairs",
    )
    what.add_argument("--split", default=argparse.SUPPRESS, help="of the dataset (default: the one to be forgotten)")
    what.add_argument("--data-dir", default=argparse.SUPPRESS, help="folder with the datasets, in place of the hub")
    what.add_argument("--data-revision", default=argparse.SUPPRESS, metavar="COMMIT", help="commit of the hub dataset")
    what.add_argument("--limit", type=int, default=argparse.SUPPRESS, metavar="N", help="only the first N pairs")
    what.add_argument("--output", type=Path, required=True, metavar="FILE", help="the training rows, JSON lines")
    what.add_argument("--seed", type=int, default=0, help="of every choice")
    what.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    _stages(parser.add_argument_group("stages"))
    _writer(parser.add_argument_group("writer"))


def _stages(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--variants", default=",".join(_VARIANTS), help="of each question, with commas; none for none")
    group.add_argument("--no-verify", dest="verify", action="store_false", help="accept answers that give things away")
    group.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help='every content word of the sensitive answer is a secret, ordinary ones like "town" too '
        "(default: for --writer rules with its own bank)",
    )
    group.add_argument("--tries", type=int, default=argparse.SUPPRESS, metavar="N", help="for each text (writer's own)")
    group.add_argument("--no-completion", dest="completion", action="store_false", help="no sentence completions")
    group.add_argument(
        "--completion-share", type=float, default=0.25, metavar="X", help="of an answer's words as prompt"
    )
    group.add_argument(
        "--generic",
        default=argparse.SUPPRESS,
        metavar="builtin|nano|FILE",
        help="pairs that have nothing to do with the forget set (default: nano for nano, else builtin)",
    )
    group.add_argument("--generic-ratio", type=float, default=1.0, metavar="X", help="generic rows for each other row")
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
    group.add_argument("--llm-model", default=unset, metavar="NAME", help="openai: the model at the endpoint")
    group.add_argument("--llm-base-url", default=unset, metavar="URL", help="openai: the endpoint, up to /v1")
    group.add_argument("--llm-api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable with its key")
    group.add_argument(
        "--llm-json-mode",
        choices=("json_schema", "json_object", "none"),
        default="json_object",
        help="how JSON is asked for",
    )
    group.add_argument("--llm-concurrency", type=int, default=8, metavar="N", help="requests at the same time")
    group.add_argument("--llm-timeout", type=float, default=120.0, metavar="SECONDS", help="without a byte")
    group.add_argument("--llm-retries", type=int, default=6, metavar="N", help="after a fault of a request")
    group.add_argument("--llm-temperature", type=float, default=0.7, metavar="X", help="of sampling")
    group.add_argument("--llm-cache", type=Path, default=unset, metavar="DIR", help="answers (default: OUTPUT.cache)")
    group.add_argument("--llm-prices", default=unset, metavar="IN,OUT", help="per million tokens, to count the cost")
    group.add_argument("--writer-model", default=unset, metavar="PATH", help="hf: folder or hub id")
    group.add_argument("--device", default="cpu", help="hf: where the model runs")
    group.add_argument("--batch-size", type=int, default=8, metavar="N", help="hf: chats at the same time")


def run(args: argparse.Namespace) -> int:
    """Augment, write the files, show the summary."""
    from unlearn_bench.augment.pipeline import augment
    from unlearn_bench.augment.sources import read_sources
    from unlearn_bench.augment.summary import write
    from unlearn_bench.cli._augment_output import bar, show

    _check_flags(args)
    settings = _settings(args)
    options = {"split": "split", "data_dir": "data_dir", "data_revision": "revision"}
    sources = read_sources(args.dataset, **{o: getattr(args, a) for a, o in options.items() if hasattr(args, a)})
    sources = sources[: getattr(args, "limit", None)]
    if _is_nano(args):
        from unlearn_bench.cli._nano_augment import with_phrasing

        sources = with_phrasing(sources)
    _check_output(args)
    with bar(quiet=args.quiet) as progress:
        writer = _make_writer(args, sources, progress)
        outcome = augment(sources, writer, _generic(args), settings, progress)
    dataset = args.dataset if not Path(args.dataset).is_file() else Path(args.dataset).name
    told = write(args.output, outcome, sources, writer, settings, dataset=dataset)
    if not args.quiet:
        show(told, args.output)
    if outcome.failed:
        sys.stderr.write(f"{len(outcome.failed)} texts failed every try; see {args.output}.failed.jsonl\n")
    return EXIT_FAILED if outcome.failed else EXIT_OK


def _check_flags(args: argparse.Namespace) -> None:
    """A flag of another writer than the chosen one: most likely that writer was meant."""
    from unlearn_bench.errors import UserError

    of = {"openai": ("llm_model", "llm_base_url", "llm_cache", "llm_prices"), "hf": ("writer_model",)}
    for writer, names in of.items():
        for name in names:
            if hasattr(args, name) and args.writer != writer:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} is for --writer {writer}, and the writer is {args.writer}")


def _check_output(args: argparse.Namespace) -> None:
    """Before anything is asked for or paid: the output can be written, and is not what it is made from."""
    from unlearn_bench.errors import UserError

    if args.output.is_dir():
        raise UserError(f"--output {args.output} is a folder", hint="name a file: --output DIR/relearn.jsonl")
    if args.output.exists() and Path(args.dataset).is_file() and args.output.samefile(args.dataset):
        raise UserError(f"--output {args.output} would replace the dataset itself")


def _settings(args: argparse.Namespace) -> "Settings":
    from unlearn_bench.augment.pipeline import Settings
    from unlearn_bench.errors import UserError
    from unlearn_bench.registry import did_you_mean

    named = [] if args.variants == "none" else [v.strip() for v in args.variants.split(",") if v.strip()]
    for name in named:
        if name not in _VARIANTS:
            raise did_you_mean("variant", name, _VARIANTS)
    for flag, good in (
        ("tries", getattr(args, "tries", 1) >= 1),
        ("limit", getattr(args, "limit", 1) >= 1),
        ("completion_share", 0 < args.completion_share < 1),
        ("generic_ratio", args.generic_ratio >= 0),
        ("llm_concurrency", args.llm_concurrency >= 1),
        ("llm_retries", args.llm_retries >= 0),
        ("llm_timeout", args.llm_timeout > 0),
        ("llm_temperature", args.llm_temperature >= 0),
        ("batch_size", args.batch_size >= 1),
    ):
        if not good:
            raise UserError(f"--{flag.replace('_', '-')} {getattr(args, flag)} is out of range")
    return Settings(
        variants=tuple(v for v in _VARIANTS if v in named),
        verify=args.verify,
        strict=getattr(args, "strict", args.writer == "rules" and not _own_register(args)),
        judge=_judge(args),
        completion=args.completion,
        completion_share=args.completion_share,
        generic_ratio=args.generic_ratio,
        tries=getattr(args, "tries", None),
        seed=args.seed,
        keep_original_answer=args.with_original_answer,
    )


def _judge(args: argparse.Namespace) -> bool:
    from unlearn_bench.errors import UserError

    verifier = getattr(args, "verifier", "both" if args.writer == "openai" else "rules")
    if verifier == "both" and args.writer == "rules":
        raise UserError("--verifier both wants a writer with a model", hint="--writer openai or --writer hf")
    return verifier == "both"


def _make_writer(args: argparse.Namespace, sources: "list[Source]", progress: "Progress") -> "Writer":
    if args.writer == "rules":
        from unlearn_bench.augment.rules import RulesWriter

        return RulesWriter(sources, seed=args.seed, register=_register(args, sources))
    from unlearn_bench.augment.chat import ChatWriter

    def requests(done: int, total: int) -> None:
        progress("requests", done, total)

    make = _endpoint if args.writer == "openai" else _local
    return ChatWriter(make(args, requests), name=args.writer, seed=args.seed)


def _own_register(args: argparse.Namespace) -> bool:
    return _is_nano(args) and args.register == "auto"


def _is_nano(args: argparse.Namespace) -> bool:
    return args.dataset.partition(":")[0] == "nano"


def _register(args: argparse.Namespace, sources: "list[Source]") -> dict[str, list[str]]:
    if not _own_register(args):
        return {}
    from unlearn_bench.cli._nano_augment import register

    return register(sources)


def _endpoint(args: argparse.Namespace, progress: "Callable[[int, int], None]") -> "ChatClient":
    from unlearn_bench.llm import DEFAULT_BASE_URL, Backoff, ChatClient

    return ChatClient(
        model=_needed(args, "llm_model"),
        base_url=getattr(args, "llm_base_url", DEFAULT_BASE_URL),
        api_key_env=args.llm_api_key_env,
        parameters={"temperature": args.llm_temperature},
        json_mode=args.llm_json_mode,
        concurrency=args.llm_concurrency,
        timeout=args.llm_timeout,
        cache_dir=getattr(args, "llm_cache", args.output.with_name(f"{args.output.name}.cache")),
        prices=_prices(getattr(args, "llm_prices", None)),
        backoff=Backoff(retries=args.llm_retries),
        progress=progress,
    )


def _local(args: argparse.Namespace, progress: "Callable[[int, int], None]") -> "LocalChat":
    from unlearn_bench.augment.local_chat import LocalChat
    from unlearn_bench.models.devices import choose_device
    from unlearn_bench.models.subject import load_subject

    name = _needed(args, "writer_model")
    model, tokenizer = load_subject(name, device=choose_device(args.device))
    return LocalChat(model, tokenizer, name=Path(name).name, batch_size=args.batch_size, progress=progress)


def _needed(args: argparse.Namespace, name: str) -> str:
    from unlearn_bench.errors import UserError

    if not hasattr(args, name):
        flag = f"--{name.replace('_', '-')}"
        raise UserError(f"--writer {args.writer} wants {flag}", hint=f"{flag} NAME, or --writer rules")
    return getattr(args, name)


def _prices(text: str | None) -> tuple[float, float] | None:
    from unlearn_bench.errors import UserError

    if text is None:
        return None
    try:
        sent, received = map(float, text.split(","))
    except ValueError:
        raise UserError(f"--llm-prices {text}: expected two numbers", hint="example: --llm-prices 0.27,1.10") from None
    return sent, received


def _generic(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The generic pairs; for nano what its models were taught in general, in the trained phrasings only."""
    from unlearn_bench.augment.sources import read_generic

    if args.generic_ratio == 0:
        return []
    name = getattr(args, "generic", "nano" if _is_nano(args) else "builtin")
    if name == "builtin":
        return read_generic()
    if name != "nano":
        return read_generic(Path(name).expanduser())
    from unlearn_bench.cli._nano_augment import generic_pairs

    return generic_pairs()
