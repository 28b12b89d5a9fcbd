"""Look inside a checkpoint: token distributions, logit lens, circuits, unlearning depth, weights; as numbers and plots.

Writes diagnostics.json (numbers with intervals), diagnostics.npz (the values behind them, row by row) and plots. What
needs a second model says so where it is missing: --reference is the model before unlearning, --retain-model one that
never knew.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.diagnostics._schema import Diagnostics
    from unlearn_bench.schema import Row

HELP = "look inside a checkpoint: what would it say, where does it know, how deep was it forgotten"
# By name here, so that --help imports nothing; a test holds them against the package's own.
NAMES = ("token_distribution", "logit_lens", "circuits", "depth", "weights")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    models = parser.add_argument_group("models")
    models.add_argument("--model", required=True, help="the judged model: embedded name, folder or hub id")
    models.add_argument("--adapter", metavar="PATH", help="PEFT adapter to apply to the judged model")
    models.add_argument("--reference", metavar="MODEL", help="the model before unlearning")
    models.add_argument("--retain-model", metavar="MODEL", help="a model that never knew")
    models.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    models.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")
    models.add_argument("--allow-pickle", action="store_true", help="load weights that can run code when loaded")
    models.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")

    rows = parser.add_argument_group("rows")
    rows.add_argument("--tasks", default="nano_kfr", help="whose questions are asked, comma separated")
    rows.add_argument("--data-dir", metavar="DIR", help="folder of the datasets, instead of the hub")
    rows.add_argument("--forget-split", choices=("forget01", "forget05", "forget10"), help="TOFU's forget set")
    rows.add_argument("--limit", type=_positive, metavar="N", help="only the first N questions of each task")
    rows.add_argument("--prompt", default="auto", help="auto, chat, qa, tofu or plain")

    what = parser.add_argument_group("diagnostics")
    what.add_argument("--diagnostics", default=",".join(NAMES), metavar="A,B,…", help="which, comma separated")
    what.add_argument("--positions", type=_positive, default=8, metavar="K", help="answer positions looked at")
    what.add_argument("--top-k", type=_positive, default=5, metavar="K", help="candidates kept per position")
    what.add_argument("--batch-size", type=_positive, default=16, metavar="N")

    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="DIR", help="(default: results/MODEL)")
    output.add_argument("--no-plots", action="store_true", help="numbers only; needs no matplotlib")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Diagnose, write the files, show the numbers."""
    import transformers

    from unlearn_bench.diagnostics._output import check_plots, write_diagnosis
    from unlearn_bench.diagnostics._prompts import make_asker
    from unlearn_bench.diagnostics.diagnose import Names, diagnose

    transformers.utils.logging.disable_progress_bar()

    if not args.no_plots:
        check_plots()
    folder = Path(args.output or Path("results") / Path(args.model).name)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: a file, expected a folder", hint="name a folder; it is made if missing")
    rows = _rows(args)
    model, tokenizer = _load(args, args.model, adapter=args.adapter)
    reference = _load(args, args.reference)[0] if args.reference else None
    retain = _load(args, args.retain_model)[0] if args.retain_model else None
    diagnosis = diagnose(
        model,
        tokenizer,
        rows,
        reference=reference,
        retain=retain,
        diagnostics=_split(args.diagnostics),
        batch_size=args.batch_size,
        asker=make_asker(tokenizer, args.prompt),
        positions=args.positions,
        top_k=args.top_k,
        names=Names(*(Path(n).name if n else None for n in (args.model, args.reference, args.retain_model))),
    )
    written = write_diagnosis(diagnosis, folder, plots=not args.no_plots)
    if not args.quiet:
        _show(diagnosis.document)
        sys.stdout.write("".join(f"{path}\n" for path in written))
    return EXIT_OK


def _rows(args: argparse.Namespace) -> "list[Row]":
    """The rows of every task, each question once."""
    from unlearn_bench.evaluate import load_tasks
    from unlearn_bench.lm_tasks import asked_rows

    given = {"data_dir": args.data_dir, "forget_split": args.forget_split}
    tasks, _ = load_tasks(_split(args.tasks), {key: value for key, value in given.items() if value is not None})
    for name, task in tasks.items():
        if not hasattr(task, "scorers"):
            raise UserError(f"task {name}: diagnose asks the questions of this project's own tasks")
    return asked_rows(tasks.values(), args.limit)


def _load(args: argparse.Namespace, name: str, *, adapter: str | None = None) -> tuple:
    import torch

    from unlearn_bench.models.subject import load_subject

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load_subject(
        name,
        adapter=adapter,
        dtype=args.dtype,
        device=device,
        allow_pickle=args.allow_pickle,
        trust_remote_code=args.trust_remote_code,
    )


def _split(text: str) -> Sequence[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _show(document: "Diagnostics") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unlearn_bench.cli._table import format_interval, format_value

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("diagnostic", "number", "value", "95 % interval", "n", "unscored"):
        table.add_column(name, justify="left" if name in ("diagnostic", "number") else "right")
    for diagnostic, numbers in document.tables.items():
        for row, (name, value) in enumerate(numbers.items()):
            cells = (diagnostic if row == 0 else "", name, format_value(value.value), format_interval(value))
            counts = (str(value.n), str(value.unscored))
            table.add_row(*map(Text, (*cells, *counts)), end_section=row == len(numbers) - 1)
    console.print(table)
    for name, why in document.unavailable.items():
        console.print(Text(f"{name}: not available, {why}"))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
    return value
