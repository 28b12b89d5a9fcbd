"""Look inside a checkpoint: token distributions, logit lens, circuits, unlearning depth, weights; as numbers and plots.

Writes diagnostics.json (numbers with intervals), diagnostics.npz (the values behind them, row by row) and plots. What
needs a second model says so where it is missing: --reference is the model before unlearning, --retain-model one that
never saw the forget set.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options
from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.diagnostics.diagnose import Diagnosis
    from unlearn_bench.diagnostics.schema import Diagnostics
    from unlearn_bench.harness.progress import Progress
    from unlearn_bench.schema import Row

HELP = "look inside a checkpoint: what would it say, where does it know, how deep was it forgotten"
# By name here, so that --help imports nothing; a test holds them against the package's own.
NAMES = ("token_distribution", "logit_lens", "circuits", "depth", "weights")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    models = parser.add_argument_group("models")
    models.add_argument("--model", required=True, help="the judged model: embedded name, folder or hub id")
    models.add_argument("--adapter", metavar="PATH", help="PEFT adapter to apply; none: leave out that of the folder")
    models.add_argument("--reference", metavar="MODEL", help="the model before unlearning")
    models.add_argument("--retain-model", metavar="MODEL", help="a model that never saw the forget set")
    models.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    models.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")
    models.add_argument("--allow-pickle", action="store_true", help="load weights that can run code when loaded")
    models.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    models.add_argument("--allow-partial", action="store_true", help="go on where weights are missing or do not fit")

    rows = parser.add_argument_group("rows")
    rows.add_argument("--tasks", default="nano_kfr", help="whose questions are asked, comma separated")
    rows.add_argument("--data-dir", metavar="DIR", help="folder of the datasets, instead of the hub")
    rows.add_argument("--forget-split", choices=("forget01", "forget05", "forget10"), help="TOFU's forget set")
    rows.add_argument("--limit", type=_positive, metavar="N", help="only the first N questions of each task")
    _options.add_prompt_arguments(rows)

    what = parser.add_argument_group("diagnostics")
    what.add_argument("--diagnostics", default=",".join(NAMES), metavar="A,B,…", help="which, comma separated")
    what.add_argument(
        "--question", metavar="N|ID", help="which question the plots draw: its number or its row's id (default: 1)"
    )
    what.add_argument("--positions", type=_positive, default=8, metavar="K", help="answer positions looked at")
    what.add_argument("--top-k", type=_positive, default=5, metavar="K", help="candidates kept per position")
    what.add_argument("--batch-size", type=_positive, default=16, metavar="N")

    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        metavar="DIR",
        help="folder of the numbers and plots (default: results/MODEL, or results/MODEL+ADAPTER)",
    )
    output.add_argument("--overwrite", action="store_true", help="replace what was found in other models or otherwise")
    output.add_argument("--no-plots", action="store_true", help="numbers only; needs no matplotlib")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Diagnose, write the files, show the numbers."""
    from unlearn_bench.cli._inside import missing_lines, print_numbers
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.diagnostics.output import check_plots, write_diagnosis
    from unlearn_bench.diagnostics.schema import check_names

    check_names(_split(args.diagnostics))
    if not args.no_plots:
        check_plots()
    folder = Path(args.output or Path("results") / _label(args))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: a file, expected a folder", hint="name a folder; it is made if missing")
    if not args.overwrite:
        _refuse_other(folder, args)
    rows = _rows(args)
    with show_progress(quiet=args.quiet) as progress:
        diagnosis = _diagnose(args, rows, progress)
    written = write_diagnosis(diagnosis, folder, plots=not args.no_plots)
    if not args.quiet:
        document = diagnosis.document
        print_numbers(document.tables, [*missing_lines(document.unavailable), *_remarks(document)])
        sys.stdout.write("".join(f"{path}\n" for path in written))
    return EXIT_OK


def _label(args: argparse.Namespace) -> str:
    """What the judged model is called: its name, with that of its adapter."""
    return "+".join(Path(name).resolve().name for name in (args.model, args.adapter) if name)


def _refuse_other(folder: Path, args: argparse.Namespace) -> None:
    """Numbers of other models, or of diagnostics that are not asked for now, are not replaced by accident."""
    from unlearn_bench.diagnostics.output import DOCUMENT_FILE, read_document

    if not (folder / DOCUMENT_FILE).exists():
        return
    found = read_document(folder)
    now = {"model": _label(args), "reference": args.reference, "retain": args.retain_model}
    changed = [k for k, name in now.items() if getattr(found, k) != (Path(name).name if name else None)]
    changed += [k for k in ("positions", "top_k") if found.settings.get(k) != getattr(args, k)]
    changed += ["diagnostics"] if set(found.tables) - set(_split(args.diagnostics)) else []
    if changed:
        raise UserError(
            f"{folder} holds a diagnosis with another {', '.join(changed)}",
            hint="name another --output, or --overwrite",
        )


def _diagnose(args: argparse.Namespace, rows: "list[Row]", progress: "Progress") -> "Diagnosis":
    from unlearn_bench.diagnostics.compared import load_compared
    from unlearn_bench.diagnostics.diagnose import Names, diagnose
    from unlearn_bench.models.devices import choose_device
    from unlearn_bench.models.subject import TEMPLATE_STYLES, find, load_subject
    from unlearn_bench.tokens import Prompts

    partial: list[str] = []
    date = _options.template_date(args)
    safety = {"allow_pickle": args.allow_pickle, "trust_remote_code": args.trust_remote_code}
    arguments = {
        "dtype": args.dtype,
        "device": choose_device(args.device),
        **safety,
        "on_partial": partial.append if args.allow_partial else None,
        "uses_template": args.prompt in TEMPLATE_STYLES,
    }
    given = {"reference": ("--reference", args.reference), "retain": ("--retain-model", args.retain_model)}
    given = {key: (option, name) for key, (option, name) in given.items() if name}
    progress.stage("load")
    for _, name in given.values():
        find(name, **safety)
    model, tokenizer = load_subject(args.model, adapter=args.adapter, **arguments)
    asker = Prompts(tokenizer, args.prompt, thinking=args.thinking, date=date)
    others = {key: load_compared(name, option, tokenizer, rows, **arguments) for key, (option, name) in given.items()}
    progress.stage("diagnose")
    progress.total(len(rows))
    found = diagnose(
        model,
        tokenizer,
        rows,
        **others,
        diagnostics=_split(args.diagnostics),
        batch_size=args.batch_size,
        asker=asker,
        positions=args.positions,
        top_k=args.top_k,
        question=args.question,
        names=Names(_label(args), *(Path(n).name if n else None for n in (args.reference, args.retain_model))),
        on_rows=progress.answers,
    )
    found.document.warnings += [f"a model is not whole, and what is missing is made up: {text}" for text in partial]
    return found


def _remarks(document: "Diagnostics") -> list[str]:
    """What was not looked at, what was guessed, and what should not be read."""
    from unlearn_bench.diagnostics.schema import REASONS

    lines = [f"{count} questions were not looked at: {REASONS[why]}" for why, count in document.skipped.items()]
    if whole := document.entity_rules.get("answer"):
        lines.append(f"no entity was found in {whole} answers, which say nothing new: there the whole answer is taken")
    return [*lines, *(f"warning: {text}" for text in document.warnings)]


def _rows(args: argparse.Namespace) -> "list[Row]":
    """The rows of every task, each question once."""
    from unlearn_bench.harness.run import load_tasks
    from unlearn_bench.harness.tasks import asked_rows

    given = {"data_dir": args.data_dir, "forget_split": args.forget_split}
    tasks, _ = load_tasks(_split(args.tasks), {key: value for key, value in given.items() if value is not None})
    for name, task in tasks.items():
        if not hasattr(task, "scorers"):
            raise UserError(f"task {name}: diagnose asks the questions of this project's own tasks")
    return asked_rows(tasks.values(), args.limit)


def _split(text: str) -> Sequence[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
    return value
