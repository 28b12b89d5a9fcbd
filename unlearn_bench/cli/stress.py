"""Put a checkpoint under stress: does what was forgotten come back when it is quantized, prompted or drawn otherwise?

The same tasks are asked again under each stress, of the checkpoint, of an oracle that never knew (the control) and of
the original. One table: a row for each stress and metric, the recovery, its excess over the oracle's, and a verdict:
holds, leaks, cannot tell. A run that was killed goes on where it was when the same command is started again.

Examples:
  unlearn-bench stress --model nano-relearn --oracle nano-retain --original nano-full --panel quick
  unlearn-bench stress --model ./my-model --oracle ./retrained --tasks tofu_forget --panel quantization,prefix
  unlearn-bench stress --self-test
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.cli._flags import add, add_prompt, add_trust, template_date
from unlearn_bench.cli._unused import given, refuse
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.harness.spec import StressSpec
    from unlearn_bench.schema import StressInfo

HELP = "put a checkpoint under stress: does the forgotten come back?"
PANEL_HELP = "quick, full, or stresses and their variants (quantization, prefix, nf4)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--config")
    models = parser.add_argument_group("models")
    add(models, "--model", ": the judged checkpoint")
    add(models, "--adapter")
    add(models, "--oracle", ": the control")
    add(models, "--original", ": without it there is no recovery")
    add(models, "--dtype", " (default: auto, the checkpoint's)", default="auto")
    add(models, "--device")
    add_trust(models)

    tasks = parser.add_argument_group("tasks")
    add(tasks, "--tasks", "; forget tasks are judged, others show what a stress costs", default=("nano_forget",))
    for name in ("--data-dir", "--data-revision", "--forget-split", "--limit"):
        add(tasks, name)
    add_prompt(tasks)
    add(tasks, "--batch-size", default=32)
    by_size = " that share the exams (default: by their size, one a core at most; 1 for large models and accelerators)"
    add(tasks, "--jobs", by_size, default=None)
    add(tasks, "--seed", default=0)
    _options.add_scoring_arguments(parser)

    stress = parser.add_argument_group("stress")
    names = {"action": _parser.Listed, "type": _parser.names, "metavar": "A,B,…"}
    stress.add_argument("--panel", **names, default=("quick",), help=PANEL_HELP)
    add(stress, "--metrics", " (default: kfr, krr, rougeL_recall)", default=None)
    stress.add_argument(
        "--margin", type=_parser.UNIT, default=0.1, metavar="X", help="largest excess recovery that counts as none"
    )
    add(stress, "--strict", ": exit 1 if a stress was skipped")

    stress.add_argument(
        "--self-test",
        action="store_true",
        help="put planted checkpoints of nano under stress instead, and exit with 1 if an exam misses what was planted "
        "for it or finds what is not there",
    )

    output = parser.add_argument_group("output")
    add(output, "--output", ": folder of stress.json (default: results/MODEL)")
    output.add_argument(
        "--controls",
        type=Path,
        metavar="DIR",
        help="keep the oracle's and the original's answers here, for panels of several checkpoints (default: --output)",
    )
    add(output, "--plots", default=True)
    add(output, "--overwrite", ": what was found with other models or settings")
    add(output, "--quiet")
    add(output, "--json", " (stress.json)")


def run(args: argparse.Namespace) -> int:
    """Do the exams, write stress.json, show the table."""
    from unlearn_bench import results
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.diagnostics.output import check_plots
    from unlearn_bench.files import write_atomically
    from unlearn_bench.harness.stress import refuse_other, stress
    from unlearn_bench.result_table import print_stress

    if args.self_test:
        return _self_test(args)
    if args.model is None:
        raise UserError("--model is missing", hint="name the checkpoint, or pass --self-test")
    _refuse_unused(args)
    folder = args.output or Path("results") / Path(args.model).name
    spec = _spec(args, folder)
    if args.plots:
        check_plots()
    path = folder / results.STRESS_FILE
    with results.writing(folder), show_progress(quiet=args.quiet or args.json) as progress:
        if not args.overwrite:
            refuse_other(path, spec)
        report = stress(spec, progress)
        pictures = _draw(report.stress, folder) if args.plots else []
        write_atomically(path, [report.model_dump_json(indent=2), "\n"])
    if args.json:
        sys.stdout.write(path.read_text(encoding="utf-8"))
    elif not args.quiet:
        print_stress(report.stress)
        sys.stdout.write("".join(f"{file}\n" for file in (path, *pictures)))
    return EXIT_FAILED if args.strict and report.stress.skipped else EXIT_OK


def _refuse_unused(args: argparse.Namespace) -> None:
    """What the checkpoints that are named leave without effect is a mistake."""
    if args.oracle is None:
        refuse(args, add_arguments, ("--margin",), "judges the excess over an oracle", hint="add --oracle")
        if args.original is None:
            refuse(args, add_arguments, ("--controls",), "keeps the answers of oracle and original", hint="name one")


def _self_test(args: argparse.Namespace) -> int:
    """Planted checkpoints under the exams; 1 where what came out is not what is known."""
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from unlearn_bench import results
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.files import write_atomically
    from unlearn_bench.nano.self_test import exam
    from unlearn_bench.result_table import PIPE_WIDTH

    flags = set(given(args, add_arguments)) - {"--self-test", "--limit", "--seed", "--output", "--quiet", "--json"}
    refuse(args, add_arguments, flags, "is not read: --self-test has its own checkpoints and exams")
    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit:g}: --self-test asks a number of questions", hint="example: --limit 8")
    folder = args.output or Path("results") / "stress-self-test"
    limit = exam.LIMIT if args.limit is None else int(args.limit)
    with results.writing(folder), show_progress(quiet=args.quiet or args.json) as progress:
        cells = exam.self_test(folder, limit=limit, seed=args.seed, progress=progress)
    text = json.dumps([cell.record() for cell in cells], indent=2) + "\n"
    write_atomically(folder / "self_test.json", [text])
    if args.json:
        sys.stdout.write(text)
    elif not args.quiet:
        header, *lines = exam.table(cells)
        table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for line in lines:
            table.add_row(*line)
        Console(highlight=False, width=PIPE_WIDTH).print(table)
        sys.stdout.write(f"* the exam that was made for it\n{folder / 'self_test.json'}\n")
    return EXIT_OK if all(cell.is_right for cell in cells) else EXIT_FAILED


def _draw(info: "StressInfo", folder: Path) -> list[Path]:
    from unlearn_bench.diagnostics.stress_plot import write_plots

    return write_plots(info, folder)


def _spec(args: argparse.Namespace, folder: Path) -> "StressSpec":
    from unlearn_bench import results
    from unlearn_bench.harness.spec import STRESSED, RunSpec, Scoring, StressSpec, option_names

    results.require_folder(folder)
    if args.controls is not None:
        results.require_folder(args.controls, "--controls")
    given = {name: getattr(args, name) for name in option_names() if hasattr(args, name)}
    made = {"template_date": template_date(args), "first_answer": not _options.is_released(args)}
    run = RunSpec.of({**given, **made}, Scoring.split(_options.scoring_settings(args)))
    return StressSpec(
        run=run,
        panel=args.panel,
        oracle=args.oracle,
        original=args.original,
        metrics=args.metrics or STRESSED,
        margin=args.margin,
        folder=folder,
        controls=args.controls,
        jobs=args.jobs,
    )
