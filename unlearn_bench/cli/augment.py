"""Make ReLearn's training data from pairs that are to be forgotten: question variants with vague, verified answers.

Writers:
  rules   paraphrase rules and a bank of vague sentences: deterministic, offline, for any English pairs
  openai  a chat model behind any OpenAI-compatible endpoint; answers are kept, so a killed run goes on where it was
  hf      an instruction-tuned model in this process

FILE given to --dataset is a JSON array or JSON lines of {question, answer}. Written are OUTPUT (JSON lines that
`train --forget` reads, each with its provenance), OUTPUT.failed.jsonl (texts that no try made good) and
OUTPUT.summary.json (counts per kind, leak rate before and after verification, retries, tokens and cost).
The exit code is 1 if any text failed. No row holds an original pair.

Examples:
  unlearn-bench augment --dataset nano --output nano_relearn.jsonl
  unlearn-bench train --method relearn --model nano-full --forget nano_relearn.jsonl --retain nano:retain --output out
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from unlearn_bench.augment.local_chat import LocalChat
    from unlearn_bench.augment.pipeline import Progress, Settings
    from unlearn_bench.augment.rows import Source, Writer
    from unlearn_bench.llm import ChatClient

HELP = "make ReLearn's training data: vague answers to many forms of each question"
_VARIANTS = ("simple", "context", "noise", "logical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_argument_group("what")
    what.add_argument("--dataset", required=True, metavar="NAME|FILE", help="nano, tofu, knowundo, or a file of pairs")
    what.add_argument("--split", default=argparse.SUPPRESS, help="of the data set (default: the one to be forgotten)")
    what.add_argument("--data-dir", default=argparse.SUPPRESS, help="folder with the data sets, in place of the hub")
    what.add_argument("--data-revision", default=argparse.SUPPRESS, metavar="COMMIT", help="of the hub's data set")
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

    settings = _settings(args)
    options = {"split": "split", "data_dir": "data_dir", "data_revision": "revision"}
    sources = read_sources(args.dataset, **{o: getattr(args, a) for a, o in options.items() if hasattr(args, a)})
    sources = sources[: getattr(args, "limit", None)]
    if args.dataset == "nano":
        from unlearn_bench.cli._nano_augment import with_phrasing

        sources = with_phrasing(sources)
    _check_output(args)
    with _bar(quiet=args.quiet) as progress:
        writer = _make_writer(args, sources, progress)
        outcome = augment(sources, writer, _generic(args), settings, progress)
    dataset = args.dataset if not Path(args.dataset).is_file() else Path(args.dataset).name
    told = write(args.output, outcome, sources, writer, settings, dataset=dataset)
    if not args.quiet:
        _show(told, args.output)
    if outcome.failed:
        sys.stderr.write(f"{len(outcome.failed)} texts failed every try; see {args.output}.failed.jsonl\n")
    return EXIT_FAILED if outcome.failed else EXIT_OK


def _check_output(args: argparse.Namespace) -> None:
    """Before anything is asked for or paid: the output can be written, and is not what it is made from."""
    from unlearn_bench.errors import UserError

    if args.output.is_dir():
        raise UserError(f"--output {args.output} is a folder", hint="name a file: --output DIR/relearn.jsonl")
    if args.output.exists() and Path(args.dataset).is_file() and args.output.samefile(args.dataset):
        raise UserError(f"--output {args.output} would replace the data set itself")


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
    return args.dataset == "nano" and args.register == "auto"


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
    from unlearn_bench.models.subject import load_subject

    name = _needed(args, "writer_model")
    model, tokenizer = load_subject(name, device=args.device)
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
    name = getattr(args, "generic", "nano" if args.dataset == "nano" else "builtin")
    if name == "builtin":
        return read_generic()
    if name != "nano":
        return read_generic(Path(name).expanduser())
    from unlearn_bench.cli._nano_augment import generic_pairs

    return generic_pairs()


def _bar(*, quiet: bool) -> "AbstractContextManager[Progress]":
    if quiet:
        return nullcontext(lambda stage, done, total: None)
    return _Bar()


class _Bar:
    """A progress bar on standard error, one line for each stage."""

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        self._lines: dict[str, object] = {}
        self._bar.start()
        return self._step

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def _step(self, stage: str, done: int, total: int) -> None:
        if stage not in self._lines:
            self._lines[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._lines[stage], completed=done, total=total)


def _show(told: dict[str, object], output: Path) -> None:
    """The summary as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{told['dataset']}: {told['rows']} rows from {told['sources']} pairs, writer {told['writer']}")
    table.add_column("")
    table.add_column("", justify="right")
    for kind, count in told["rows_by_kind"].items():
        table.add_row(kind, str(count))
    table.add_section()
    for name, rate in told["leak_rate"].items():
        before_or_after, _, counted = name.partition(",")
        label = f"leak rate {before_or_after} verification" + (f",{counted}" if counted else "")
        table.add_row(label, "-" if rate is None else f"{100 * rate:.1f} %")
    table.add_row("fluency of the answers", "-" if told["fluency"] is None else f"{told['fluency']:.3f}")
    table.add_row("distinct answers", str(told["distinct_answers"]))
    table.add_row("asked again (questions, answers)", ", ".join(str(n) for n in told["retries"].values()))
    table.add_row("failed every try", str(told["failed"]))
    for name, value in told["usage"].items():
        table.add_row(name.replace("_", " "), "-" if value is None else f"{value:g}")
    Console().print(table)
    sys.stdout.write(f"{output}\n{output}.summary.json\n")
