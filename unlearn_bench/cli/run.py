"""Score a checkpoint: generate answers to the tasks' questions, score them, write result.json and samples.jsonl.

Without arguments: the embedded model nano-full on the nano group, with the offline profile. A run that was killed goes
on where it was when the same command is started again.
"""

import argparse
import shutil
import sys
from pathlib import Path

from unlearn_bench.cli import _options
from unlearn_bench.errors import EXIT_OK, UserError

HELP = "score a checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", default="nano-full", help="embedded name, folder, hub id, or a server's model name")
    model.add_argument("--adapter", metavar="PATH", help="PEFT adapter to apply; none: leave out that of the folder")
    model.add_argument("--revision", help="commit or branch of a hub model")
    model.add_argument("--backend", choices=("hf", "vllm", "api"), default="hf", help="who generates")
    model.add_argument("--model-args", metavar="K=V,…", default="", help="passed on to the backend's model")
    model.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    model.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")
    model.add_argument("--allow-pickle", action="store_true", help="load weights that can run code when loaded")
    model.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    model.add_argument("--allow-partial", action="store_true", help="go on where weights are missing or do not fit")

    tasks = parser.add_argument_group("tasks")
    tasks.add_argument("--tasks", default="nano", help="names of tasks and groups, comma separated; lm-eval's too")
    tasks.add_argument("--include-path", metavar="DIR", help="folder of further lm-eval task files")
    tasks.add_argument("--data-dir", metavar="DIR", help="folder of the datasets, instead of the hub")
    tasks.add_argument("--data-revision", metavar="COMMIT", help="commit of the hub datasets")
    tasks.add_argument("--forget-split", choices=("forget01", "forget05", "forget10"), help="TOFU's forget set")
    tasks.add_argument("--limit", type=_positive, metavar="N", help="only the first N questions of each task")
    tasks.add_argument("--prompt", default="auto", help="auto, chat, qa, tofu or plain")
    tasks.add_argument(
        "--thinking",
        choices=("model", "on", "off"),
        default="model",
        help="the chat template's switch (default: its own)",
    )
    tasks.add_argument(
        "--template-date",
        metavar="YYYY-MM-DD",
        help="date that chat templates write; also: today (default: 2024-07-26)",
    )
    tasks.add_argument(
        "--no-first-answer", action="store_true", help="score all that was generated, thinking and ramblings too"
    )
    tasks.add_argument("--max-gen-toks", type=_positive, metavar="N", help="longest answer in tokens (default: 128)")
    tasks.add_argument("--temperature", type=float, default=0.0, help="0: greedy; the paper samples at 0.7")
    tasks.add_argument("--top-p", type=float, help="the paper: 0.9")
    tasks.add_argument("--top-k", type=_positive, help="the paper: 5")
    tasks.add_argument("--batch-size", type=_positive, default=32, metavar="N")
    tasks.add_argument("--seed", type=int, default=0)

    _options.add_scoring_arguments(parser)

    inside = parser.add_argument_group("diagnostics, logged into the same result")
    inside.add_argument("--diagnose", metavar="A,B,…", help="token_distribution, logit_lens, circuits, depth, weights")
    inside.add_argument("--reference", metavar="MODEL", help="the model before unlearning")
    inside.add_argument("--retain-model", metavar="MODEL", help="a model that never knew")
    inside.add_argument("--no-plots", action="store_true", help="numbers only; needs no matplotlib")

    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="DIR", help="(default: results/MODEL)")
    output.add_argument("--overwrite", action="store_true", help="replace the result of another model in DIR")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--json", action="store_true", help="print result.json instead of the table")


def run(args: argparse.Namespace) -> int:
    """Run the evaluation, write its files, show the table."""
    from unlearn_bench import results
    from unlearn_bench.cli._inside import missing_lines, print_numbers
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.cli._table import print_table
    from unlearn_bench.evaluate import evaluate

    folder = Path(args.output or Path("results") / Path(args.model).name)
    spec = _spec(args, folder)
    _refuse_foreign(folder, spec.model, overwrite=args.overwrite)
    with show_progress(quiet=args.quiet or args.json) as progress:
        outcome = evaluate(spec, progress)
    if outcome is None:  # another process of this run has the result
        return EXIT_OK
    result, samples = outcome
    results.write_results(folder, result, samples)
    if not any(sample.missing for sample in samples):  # else the same command asks for those that are missing
        shutil.rmtree(spec.chunks, ignore_errors=True)
    if args.json:
        sys.stdout.write((folder / "result.json").read_text(encoding="utf-8"))
    elif not args.quiet:
        print_table(result)
        sys.stdout.write(f"{folder / 'result.json'}\n{folder / 'samples.jsonl'}\n")
        if inside := result.diagnostics:
            print_numbers(inside.tables, missing_lines(inside.unavailable), headlines=True)
            sys.stdout.write(f"{folder / 'diagnostics'}\n")
    return EXIT_OK


def _refuse_foreign(folder: Path, model: str, *, overwrite: bool) -> None:
    """A result of another model is not replaced by accident."""
    from unlearn_bench import results

    if overwrite or not (folder / results.RESULT_FILE).exists():
        return
    other = results.read_result(folder).model.name
    if other not in (model, Path(model).name):
        raise UserError(f"{folder} holds the result of {other}", hint="choose another --output, or pass --overwrite")


def _spec(args: argparse.Namespace, folder: Path) -> "RunSpec":  # noqa: F821
    from unlearn_bench.chat_template import DATE, read_date
    from unlearn_bench.evaluate import RunSpec

    return RunSpec(
        model=args.model,
        tasks=_names(args.tasks),
        include_path=args.include_path,
        adapter=args.adapter,
        revision=args.revision,
        backend=args.backend,
        model_args=_pairs(args.model_args),
        scoring=_options.scoring_settings(args),
        batch_size=args.batch_size,
        dtype=args.dtype,
        device=args.device,
        limit=args.limit,
        seed=args.seed,
        data_dir=args.data_dir,
        data_revision=args.data_revision,
        forget_split=args.forget_split,
        prompt=args.prompt,
        thinking=args.thinking,
        template_date=read_date(args.template_date or DATE),
        first_answer=not (args.no_first_answer or args.parity),
        generation=_generation(args),
        allow_pickle=args.allow_pickle,
        trust_remote_code=args.trust_remote_code,
        allow_partial=args.allow_partial,
        chunks=folder / ".answers",
        diagnose=_names(args.diagnose or ""),
        reference=args.reference,
        retain_model=args.retain_model,
        inside=folder / "diagnostics" if args.diagnose else None,
        plots=not args.no_plots,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _generation(args: argparse.Namespace) -> dict[str, object]:
    """Generation settings that differ from the tasks' own."""
    settings: dict[str, object] = {"max_gen_toks": args.max_gen_toks} if args.max_gen_toks else {}
    if args.temperature > 0:
        settings |= {"do_sample": True, "temperature": args.temperature}
        settings |= {key: value for key, value in (("top_p", args.top_p), ("top_k", args.top_k)) if value is not None}
    elif args.temperature < 0 or args.top_p is not None or args.top_k is not None:
        raise UserError("--top-p and --top-k need a --temperature above 0")
    return settings


def _pairs(text: str) -> dict[str, object]:
    """`k=v,k2=v2` as a dictionary, the values read as YAML does (true, 4, text)."""
    import yaml

    pairs = {}
    for number, item in enumerate(filter(None, (piece.strip() for piece in text.split(","))), start=1):
        key, equals, value = item.partition("=")
        if not equals or not key:  # it is not shown: it may be a key
            raise UserError(f"--model-args: expected key=value, and part {number} has no key or no =")
        pairs[key] = yaml.safe_load(value) if value else ""
    return pairs


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
    return value
