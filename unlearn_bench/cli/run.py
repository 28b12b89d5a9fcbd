"""Score a checkpoint: generate answers to the tasks' questions, score them, write result.json and samples.jsonl.

Without arguments: the embedded model nano-full on the nano group, with the offline profile. A run that was killed goes
on where it was when the same command is started again.

Examples:
  unlearn-bench run --model nano-retain --tasks nano_forget,nano_retain,ls
  unlearn-bench run --model ./my-model --adapter ./my-lora --tasks 'tofu_*' --data-dir ./data --limit 0.1
  unlearn-bench run --model ./my-model --tasks nano,ls --batch-size auto --output results/mine
  unlearn-bench run --model ./my-model --tasks tofu --temperature 0.7 --top-p 0.9 --top-k 5 --seed 1
`unlearn-bench explain NAME` says what a printed name means.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.cli._flags import add, add_prompt, add_trust, template_date
from unlearn_bench.cli._oracle import named, require_oracle
from unlearn_bench.cli._unused import refuse
from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.harness.spec import RunSpec, StressSpec
    from unlearn_bench.schema import Result, Sample

HELP = "score a checkpoint"
# Names that say nothing of the run they come from.
_COMMON = re.compile(r"checkpoint[-_]?\d*|final|last|best|model|output|out|adapter|lora|merged|hf", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--config")
    _add_model(parser.add_argument_group("model"))
    _add_tasks(parser.add_argument_group("tasks"))
    _options.add_scoring_arguments(parser)

    inside = parser.add_argument_group("compared with, and diagnostics, in the same result")
    add(inside, "--diagnose")
    add(inside, "--original", ", or its result, or BOARD.json#NAME: with --oracle each number gets its place")
    _parser.add_former_name(inside, "--reference", "--original")
    add(inside, "--oracle", ", or its result, or BOARD.json#NAME: for forget_quality, privleak and places")
    _parser.add_former_name(inside, "--retain-model", "--oracle")
    add(inside, "--plots", default=True)

    stress = parser.add_argument_group("stress, logged into the same result (with --oracle and --original)")
    add(stress, "--stress", " (see `stress --help`)")

    output = parser.add_argument_group("output")
    add(output, "--calibration")
    add(output, "--labels")
    add(output, "--output", ": folder of the result (default: results/MODEL, or results/MODEL+ADAPTER)")
    add(output, "--overwrite", ": a result of another model or other settings")
    add(output, "--quiet")
    add(output, "--json", " (result.json)")


def _add_model(group: argparse._ArgumentGroup) -> None:
    add(group, "--model", ", or a server's model name", default="nano-full")
    add(group, "--adapter")
    add(group, "--tokenizer", " in place of the checkpoint's own")
    group.add_argument("--revision", metavar="COMMIT", help="commit or branch of a hub model")
    group.add_argument("--backend", choices=("hf", "vllm", "api"), default="hf", help="who generates")
    group.add_argument(
        "--model-args",
        action=_parser.Listed,
        type=_parser.pairs,
        default=(),
        metavar="KEY=VALUE,…",
        help="passed on to the backend (api: base_url, num_concurrent, …; see docs/running.md)",
    )
    add(group, "--dtype", " (default: auto, the checkpoint's)", default="auto")
    add(group, "--device")
    add_trust(group)


def _add_tasks(group: argparse._ArgumentGroup) -> None:
    add(group, "--tasks", "; also lm-eval's", default=("nano",))
    group.add_argument("--include-path", metavar="DIR", help="folder of further lm-eval task files")
    add(group, "--metrics", "; default stands for those computed unasked (default,mia_gradnorm)", default=())
    for name in ("--data-dir", "--data-revision", "--forget-split", "--limit"):
        add(group, name)
    add_prompt(group)
    add(group, "--first-answer", default=True)
    add(group, "--answer-end", default=None)
    group.add_argument(
        "--max-gen-toks", type=_parser.POSITIVE, metavar="N", help="longest answer in tokens (default: 128)"
    )
    group.add_argument(
        "--temperature", type=_parser.AT_LEAST_0, default=0.0, metavar="X", help="0: greedy; the paper: 0.7"
    )
    group.add_argument("--top-p", type=_parser.SHARE, metavar="X", help="nucleus of sampling; the paper: 0.9")
    group.add_argument("--top-k", type=_parser.POSITIVE, metavar="N", help="candidates of sampling; the paper: 5")
    add(group, "--batch-size", ", or auto: what fits", type=_parser.batch_size, default=32)
    add(group, "--seed", " (of sampled answers)", default=0)
    group.add_argument(
        "--fewshot-seed",
        type=_parser.SEED,
        default=1234,
        metavar="N",
        help="of the examples in stock lm-eval tasks",
    )


def run(args: argparse.Namespace) -> int:
    """Run the evaluation, write its files, show the table."""
    from unlearn_bench import results
    from unlearn_bench.calibration.correct import read_given
    from unlearn_bench.cli import _overwriting
    from unlearn_bench.cli._inside import missing_lines, print_numbers
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.harness.run import evaluate
    from unlearn_bench.result_table import print_stress, print_table

    _refuse_unused(args)
    folder = args.output or _default_folder(args.model, args.adapter)
    spec = _spec(args, folder)
    given = read_given(args.calibration, args.labels)
    with results.writing(folder), show_progress(quiet=args.quiet or args.json) as progress:
        check = partial(_overwriting.refuse_other, folder, spec, overwrite=args.overwrite)
        check(None)
        under_stress = _stress_spec(args, spec, folder)
        outcome = evaluate(spec, progress, accept=check)
        if outcome is not None and under_stress is not None:
            from unlearn_bench.harness.stress import add_to

            add_to(outcome[0], under_stress, progress)
            if args.plots and outcome[0].stress is not None:
                from unlearn_bench.diagnostics.stress_plot import write_plots

                write_plots(outcome[0].stress, folder / "stress")
        if outcome is not None:
            _write(folder, spec, *outcome)  # first: what was brought to correct with may not fit
            if given:
                given.correct(outcome)
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
        if result.stress is not None:
            print_stress(result.stress)
    return EXIT_OK


def _stress_spec(args: argparse.Namespace, spec: "RunSpec", folder: Path) -> "StressSpec | None":
    """What `--stress` asks for, checked; None without it."""
    if not args.stress:
        return None
    from unlearn_bench.harness.spec import StressSpec
    from unlearn_bench.harness.stress import check

    asked = StressSpec(spec, args.stress, oracle=args.oracle, original=args.original, folder=folder / "stress")
    check(asked)
    if args.plots:
        from unlearn_bench.diagnostics.output import check_plots

        check_plots()
    return asked


def _write(folder: Path, spec: "RunSpec", result: "Result", samples: "list[Sample]") -> None:
    from unlearn_bench import results

    results.write_results(folder, result, samples)
    if not any(sample.lost for sample in samples):  # else the same command asks for those that are missing
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
    """An option that this run would not read is a mistake."""
    not_read = {"api": ("--revision", "--device", "--dtype", "--allow-pickle", "--allow-partial"),
                "vllm": ("--device", "--allow-partial")}.get(args.backend, ())  # fmt: skip
    refuse(args, add_arguments, not_read, f"is not read by --backend {args.backend}")
    if args.revision is not None and Path(args.model).expanduser().is_dir():
        raise UserError(f"--revision is for a model of the hub, and {args.model} is a folder", hint="leave it out")
    if not (args.diagnose or args.stress):
        require_oracle(args)


def _spec(args: argparse.Namespace, folder: Path) -> "RunSpec":
    from unlearn_bench.harness.spec import RunSpec, Scoring, option_names

    given = {name: getattr(args, name) for name in option_names() if hasattr(args, name)}
    made = {
        "original": named(args.original),
        "oracle": named(args.oracle),
        "model_args": _pairs(args.model_args),
        "template_date": template_date(args),
        "first_answer": args.first_answer and not _options.is_released(args),
        "generation": _generation(args),
        "chunks": folder / ".answers",
        "inside": folder / "diagnostics" if args.diagnose else None,
    }
    scoring = _options.scoring_settings(args)
    _options.keep_verdicts(scoring, folder)
    return RunSpec.of({**given, **made}, Scoring.split(scoring))


def _generation(args: argparse.Namespace) -> dict[str, object]:
    """Generation settings that differ from the tasks' own."""
    settings: dict[str, object] = {"max_gen_toks": args.max_gen_toks} if args.max_gen_toks else {}
    if args.temperature > 0:
        settings |= {"do_sample": True, "temperature": args.temperature}
        settings |= {key: value for key, value in (("top_p", args.top_p), ("top_k", args.top_k)) if value is not None}
    elif args.top_p is not None or args.top_k is not None:
        raise UserError("--top-p and --top-k need a --temperature above 0")
    return settings


def _pairs(items: Sequence[str]) -> dict[str, object]:
    """`k=v` items as a dictionary, the values read as YAML does (true, 4, text)."""
    import yaml

    pairs = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UserError(f"--model-args {item!r}: expected key=value")
        try:
            pairs[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError:
            raise UserError(f"--model-args {key}: {value!r} cannot be read", hint="quote it as in YAML") from None
    return pairs
