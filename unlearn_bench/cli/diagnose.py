"""Look inside a checkpoint: token distributions, logit lens, circuits, unlearning depth, weights; as numbers and plots.

Writes diagnostics.json (numbers with intervals), diagnostics.npz (the values behind them, row by row) and plots. What
needs a second checkpoint is unavailable without it: --original is the one before unlearning, --oracle one that never
saw the forget set.

Example:
  unlearn-bench diagnose --model nano-relearn --original nano-full --oracle nano-retain --tasks nano_kfr --output inside
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _parser
from unlearn_bench.cli._flags import add, add_prompt, add_trust, template_date
from unlearn_bench.cli._unused import refuse
from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.diagnostics.checkpoint import DiagnoseSpec
    from unlearn_bench.diagnostics.schema import Diagnostics
    from unlearn_bench.schema import Row

HELP = "look inside a checkpoint: what would it say, where does it know, how deep was it forgotten"
# By name here, so that --help imports nothing; a test holds them against the package's own.
NAMES = ("token_distribution", "logit_lens", "circuits", "depth", "weights")
# Flag to the diagnostics that read it; without any of them it would be ignored.
_READ_BY = {
    "--original": ("token_distribution", "circuits", "depth", "weights"),
    "--oracle": ("logit_lens", "depth"),
    "--question": ("token_distribution", "circuits"),
    "--positions": ("token_distribution", "logit_lens"),
    "--candidates": ("token_distribution", "logit_lens"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--config")
    models = parser.add_argument_group("models")
    add(models, "--model", ": the judged checkpoint", required=True)
    add(models, "--adapter")
    add(models, "--original")
    _parser.add_former_name(models, "--reference", "--original")
    add(models, "--oracle")
    _parser.add_former_name(models, "--retain-model", "--oracle")
    add(models, "--dtype", " (default: auto, the checkpoint's)", default="auto")
    add(models, "--device")
    add_trust(models)

    rows = parser.add_argument_group("rows")
    add(rows, "--tasks", ": whose questions are asked", default=("nano_kfr",))
    for name in ("--data-dir", "--data-revision", "--forget-split", "--limit"):
        add(rows, name)
    add_prompt(rows)

    what = parser.add_argument_group("diagnostics")
    what.add_argument(
        "--diagnostics",
        action=_parser.Listed,
        type=_parser.names,
        default=NAMES,
        metavar="A,B,…",
        help="which of them",
    )
    what.add_argument(
        "--question", metavar="N|ID", help="which question the plots draw: its number or its row's id (default: 1)"
    )
    what.add_argument("--positions", type=_parser.POSITIVE, default=8, metavar="K", help="answer positions analysed")
    what.add_argument(
        "--candidates", type=_parser.POSITIVE, default=5, metavar="K", help="most likely tokens kept per position"
    )
    _parser.add_former_name(what, "--top-k", "--candidates")
    add(what, "--batch-size", default=16)

    output = parser.add_argument_group("output")
    add(output, "--output", ": folder of the numbers and plots (default: results/MODEL, or results/MODEL+ADAPTER)")
    add(output, "--overwrite", ": what was found in other models or otherwise")
    add(output, "--plots", default=True)
    add(output, "--quiet")
    add(output, "--json", " (diagnostics.json)")


def run(args: argparse.Namespace) -> int:
    """Diagnose, write the files, show the numbers."""
    from unlearn_bench.cli._inside import missing_lines, print_numbers
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.diagnostics.output import DOCUMENT_FILE, check_plots, write_diagnosis
    from unlearn_bench.diagnostics.schema import check_names

    check_names(args.diagnostics)
    for flag, readers in _READ_BY.items():
        if not set(readers) & set(args.diagnostics):
            refuse(args, add_arguments, (flag,), f"is for --diagnostics {','.join(readers)}")
    if args.plots:
        check_plots()
    from unlearn_bench.diagnostics.checkpoint import diagnose_checkpoint
    from unlearn_bench.results import require_folder

    spec = _spec(args)
    folder = args.output or Path("results") / spec.names.model
    require_folder(folder)
    if not args.overwrite:
        _refuse_other(folder, spec)
    rows = _rows(args)
    with show_progress(quiet=args.quiet or args.json) as progress:
        progress.total(len(rows))
        diagnosis = diagnose_checkpoint(spec, rows, on_stage=progress.stage, on_rows=progress.answers)
    written = write_diagnosis(diagnosis, folder, plots=args.plots)
    if args.json:
        sys.stdout.write((folder / DOCUMENT_FILE).read_text(encoding="utf-8"))
    elif not args.quiet:
        document = diagnosis.document
        print_numbers(document.tables, [*missing_lines(document.unavailable), *_remarks(document)])
        sys.stdout.write("".join(f"{path}\n" for path in written))
    return EXIT_OK


def _spec(args: argparse.Namespace) -> "DiagnoseSpec":
    from dataclasses import fields

    from unlearn_bench.diagnostics.checkpoint import DiagnoseSpec

    given = {field.name: getattr(args, field.name) for field in fields(DiagnoseSpec)}
    return DiagnoseSpec(**{**given, "template_date": template_date(args)})


def _refuse_other(folder: Path, spec: "DiagnoseSpec") -> None:
    """Numbers of other models, or of diagnostics that are not asked for now, are not replaced by accident."""
    from unlearn_bench.diagnostics.output import DOCUMENT_FILE, read_document

    if not (folder / DOCUMENT_FILE).exists():
        return
    found, now = read_document(folder), spec.names
    kept = {"candidates": found.settings.get("top_k"), **found.settings}  # up to version 0.1: top_k
    changed = [key for key in ("model", "original", "oracle") if getattr(found, key) != getattr(now, key)]
    changed += [key for key in ("positions", "candidates") if kept.get(key) != getattr(spec, key)]
    changed += ["diagnostics"] if set(found.tables) - set(spec.diagnostics) else []
    if changed:
        raise UserError(
            f"{folder} holds a diagnosis with another {', '.join(changed)}",
            hint="name another --output, or --overwrite",
        )


def _remarks(document: "Diagnostics") -> list[str]:
    """What was not analysed, what was guessed, and what should not be read."""
    from unlearn_bench.diagnostics.schema import REASONS

    lines = [f"{count} questions were not analysed: {REASONS[why]}" for why, count in document.skipped.items()]
    if whole := document.entity_rules.get("answer"):
        lines.append(f"no entity was found in {whole} answers, which say nothing new: there the whole answer is taken")
    return [*lines, *(f"warning: {text}" for text in document.warnings)]


def _rows(args: argparse.Namespace) -> "list[Row]":
    """The rows of every task, each question once."""
    from unlearn_bench.harness.plan import distinct_rows, make_plan
    from unlearn_bench.harness.spec import DataSettings

    data = DataSettings(args.data_dir, args.data_revision, args.forget_split)
    plan = make_plan(args.tasks, data=data, limit=args.limit)
    for name in plan.stock.tasks if plan.stock else ():
        raise UserError(f"task {name}: diagnose asks the questions of this project's own tasks")
    return distinct_rows(plan.question_sets.values())
