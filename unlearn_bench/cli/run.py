"""Score a checkpoint: generate answers to the tasks' questions, score them, write result.json and samples.jsonl.

Without arguments: the embedded model nano-full on the nano group, with the offline profile. A run that was killed goes
on where it was when the same command is started again.

Examples:
  unlearn-bench run --model nano-retain --tasks nano_kfr,nano_krr,ls
  unlearn-bench run --model ./my-model --adapter ./my-lora --tasks 'tofu_*' --data-dir ./data --limit 0.1
  unlearn-bench run --model ./my-model --tasks nano,arc_easy --batch-size auto --output results/with-arc
  unlearn-bench run --model ./my-model --tasks tofu --temperature 0.7 --top-p 0.9 --top-k 5 --seed 1
`unlearn-bench explain NAME` says what a printed name means.
"""

import argparse
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.harness.run import RunSpec
    from unlearn_bench.schema import Result, Sample

HELP = "score a checkpoint"
# Names that say nothing of the run they come from.
_COMMON = re.compile(r"checkpoint[-_]?\d*|final|last|best|model|output|out|adapter|lora|merged|hf", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", default="nano-full", help="embedded name, folder, hub id, or a server's model name")
    model.add_argument("--adapter", metavar="PATH", help="PEFT adapter to apply; none: leave out that of the folder")
    model.add_argument("--tokenizer", metavar="PATH", help="a tokenizer in place of the checkpoint's own")
    model.add_argument("--revision", help="commit or branch of a hub model")
    model.add_argument("--backend", choices=("hf", "vllm", "api"), default="hf", help="who generates")
    model.add_argument(
        "--model-args",
        metavar="K=V,…",
        default="",
        help="passed on to the backend (api: base_url, num_concurrent, …; see README)",
    )
    model.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    model.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")
    model.add_argument("--allow-pickle", action="store_true", help="load weights that can run code when loaded")
    model.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    model.add_argument("--allow-partial", action="store_true", help="go on where weights are missing or do not fit")

    tasks = parser.add_argument_group("tasks")
    tasks.add_argument(
        "--tasks", type=_parser.names, default="nano", help="names or patterns, comma separated; lm-eval's tasks, too"
    )
    tasks.add_argument("--include-path", metavar="DIR", help="folder of further lm-eval task files")
    tasks.add_argument("--data-dir", metavar="DIR", help="folder of the datasets, instead of the hub")
    tasks.add_argument("--data-revision", metavar="COMMIT", help="commit of the hub datasets")
    tasks.add_argument("--forget-split", choices=("forget01", "forget05", "forget10"), help="TOFU's forget set")
    tasks.add_argument(
        "--limit", type=_parser.limit, metavar="N", help="first N questions of each task, or a share < 1"
    )
    _options.add_prompt_arguments(tasks)
    tasks.add_argument(
        "--no-first-answer", action="store_true", help="score all that was generated, thinking and ramblings too"
    )
    tasks.add_argument(
        "--max-gen-toks", type=_parser.whole(1), metavar="N", help="longest answer in tokens (default: 128)"
    )
    at_least_0 = _parser.real("a number of at least 0", lambda x: x >= 0)
    share = _parser.real("a number above 0 and at most 1", lambda x: 0 < x <= 1)
    seed = _parser.whole(0, 2**32 - 1)
    tasks.add_argument("--temperature", type=at_least_0, default=0.0, metavar="X", help="0: greedy; the paper: 0.7")
    tasks.add_argument("--top-p", type=share, metavar="X", help="nucleus of sampling; the paper: 0.9")
    tasks.add_argument("--top-k", type=_parser.whole(1), metavar="N", help="candidates of sampling; the paper: 5")
    tasks.add_argument("--batch-size", type=_parser.batch_size, default=32, metavar="N", help="or auto: what fits")
    tasks.add_argument("--seed", type=seed, default=0, metavar="N", help="of sampled answers")
    tasks.add_argument(
        "--fewshot-seed", type=seed, default=1234, metavar="N", help="of the examples in stock lm-eval tasks"
    )

    _options.add_scoring_arguments(parser)

    inside = parser.add_argument_group("diagnostics, logged into the same result")
    inside.add_argument("--diagnose", metavar="A,B,…", help="token_distribution, logit_lens, circuits, depth, weights")
    inside.add_argument("--reference", metavar="MODEL", help="the model before unlearning")
    inside.add_argument("--retain-model", metavar="MODEL", help="a model that never saw the forget set")
    inside.add_argument("--no-plots", action="store_true", help="numbers only; needs no matplotlib")

    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", metavar="DIR", help="folder of the result (default: results/MODEL, or results/MODEL+ADAPTER)"
    )
    output.add_argument("--overwrite", action="store_true", help="replace a result of another model or other settings")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--json", action="store_true", help="print result.json instead of the table")


def run(args: argparse.Namespace) -> int:
    """Run the evaluation, write its files, show the table."""
    from unlearn_bench import results
    from unlearn_bench.cli import _overwriting
    from unlearn_bench.cli._inside import missing_lines, print_numbers
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.harness.run import evaluate
    from unlearn_bench.result_table import print_table

    _refuse_unused(args)
    folder = Path(args.output) if args.output else _default_folder(args.model, args.adapter)
    spec = _spec(args, folder)
    with results.writing(folder), show_progress(quiet=args.quiet or args.json) as progress:
        check = partial(_overwriting.refuse_other, folder, spec, overwrite=args.overwrite)
        check(None)
        outcome = evaluate(spec, progress, accept=check)
        if outcome is not None:
            _write(folder, spec, *outcome)
    if outcome is None:  # another process of this run has the result
        return EXIT_OK
    result, _ = outcome
    if args.json:
        sys.stdout.write((folder / "result.json").read_text(encoding="utf-8"))
    elif not args.quiet:
        print_table(result)
        sys.stdout.write(f"{folder / 'result.json'}\n{folder / 'samples.jsonl'}\n")
        if inside := result.diagnostics:
            print_numbers(inside.tables, missing_lines(inside.unavailable), headlines=True)
            sys.stdout.write(f"{folder / 'diagnostics'}\n")
    return EXIT_OK


def _write(folder: Path, spec: "RunSpec", result: "Result", samples: "list[Sample]") -> None:
    from unlearn_bench import results

    results.write_results(folder, result, samples)
    if not any(sample.missing for sample in samples):  # else the same command asks for those that are missing
        shutil.rmtree(spec.chunks, ignore_errors=True)


def _default_folder(model: str, adapter: str | None) -> Path:
    """results/MODEL, with the adapter's name, and the parent's where a folder is called like all others.

    >>> str(_default_folder("org/model", "loras/x"))
    'results/model+x'
    """
    names = [_telling_name(text) for text in (model, adapter) if text]
    return Path("results") / "+".join(names)


def _telling_name(text: str) -> str:
    path = Path(text)
    if not path.is_dir():
        return path.name
    path = path.resolve()
    return f"{path.parent.name}-{path.name}" if _COMMON.fullmatch(path.name) and path.parent.name else path.name


def _refuse_unused(args: argparse.Namespace) -> None:
    """An option that the backend would not read is a mistake."""
    if args.backend == "api":
        for option in ("revision", "device", "tokenizer"):
            if getattr(args, option) is not None:
                raise UserError(f"--{option}: the server has its own", hint="leave it out with --backend api")
    if args.revision is not None and Path(args.model).expanduser().is_dir():
        raise UserError(f"--revision is for a model of the hub, and {args.model} is a folder", hint="leave it out")


def _spec(args: argparse.Namespace, folder: Path) -> "RunSpec":
    from unlearn_bench.harness.run import RunSpec

    return RunSpec(
        model=args.model,
        tasks=args.tasks if isinstance(args.tasks, tuple) else _parser.names(args.tasks),
        include_path=args.include_path,
        adapter=args.adapter,
        tokenizer=args.tokenizer,
        revision=args.revision,
        backend=args.backend,
        model_args=_pairs(args.model_args),
        scoring=_options.scoring_settings(args),
        batch_size=args.batch_size,
        dtype=args.dtype,
        device=args.device,
        limit=args.limit,
        seed=args.seed,
        fewshot_seed=args.fewshot_seed,
        data_dir=args.data_dir,
        data_revision=args.data_revision,
        forget_split=args.forget_split,
        prompt=args.prompt,
        thinking=args.thinking,
        template_date=_options.template_date(args),
        first_answer=not (args.no_first_answer or args.parity),
        generation=_generation(args),
        allow_pickle=args.allow_pickle,
        trust_remote_code=args.trust_remote_code,
        allow_partial=args.allow_partial,
        chunks=folder / ".answers",
        diagnose=_parser.names(args.diagnose or ""),
        reference=args.reference,
        retain_model=args.retain_model,
        inside=folder / "diagnostics" if args.diagnose else None,
        plots=not args.no_plots,
    )


def _generation(args: argparse.Namespace) -> dict[str, object]:
    """Generation settings that differ from the tasks' own."""
    settings: dict[str, object] = {"max_gen_toks": args.max_gen_toks} if args.max_gen_toks else {}
    if args.temperature > 0:
        settings |= {"do_sample": True, "temperature": args.temperature}
        settings |= {key: value for key, value in (("top_p", args.top_p), ("top_k", args.top_k)) if value is not None}
    elif args.top_p is not None or args.top_k is not None:
        raise UserError("--top-p and --top-k need a --temperature above 0")
    return settings


def _pairs(text: str) -> dict[str, object]:
    """`k=v,k2=v2` as a dictionary, the values read as YAML does (true, 4, text)."""
    import yaml

    pairs = {}
    for item in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UserError(f"--model-args {item!r}: expected key=value")
        try:
            pairs[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError:
            raise UserError(f"--model-args {key}: {value!r} cannot be read", hint="quote it as in YAML") from None
    return pairs
