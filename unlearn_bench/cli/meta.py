"""Which metric can be believed? Put models that know and models that do not side by side, and judge every metric.

Each model is a checkpoint, a result (result.json or its folder), a log that `score` reads, or a folder that holds
several of these. For every metric that all of them have: faithfulness, the AUC between the two sides with an interval
over models; with --broken, whether it takes a wreck for good forgetting; robustness to relearning (R) and quantisation
(Q), where results under stress are given (DIR/relearning, DIR/quantization) or made (--stress); correlations between
metrics; and their order, ties shown as ties. Which way a metric points is declared, never taken from the data.

Examples:
  unlearn-bench meta --positive pool/positive --negative pool/negative --output out  # not run: needs your files
  unlearn-bench meta --positive a,b,c --negative d,e,f --tasks nano --output out  # not run: needs your files
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.cli._flags import add, add_prompt, add_trust, template_date
from unlearn_bench.cli._unused import given, refuse
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlearn_bench.meta.evaluate import MetaReport
    from unlearn_bench.meta.gather import PoolSpec
    from unlearn_bench.meta.pool import Side

HELP = "which metric can be believed? judge metrics by models that know and models that do not"
_SIDES = {
    "positive": "models that know",
    "negative": "models that do not",
    "broken": "models that are wrecks: whether a metric takes them for good forgetting",
    "unlearned": "models that R and Q are measured on (default: the negative ones)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--config")
    pool = parser.add_argument_group("pool")
    for side, text in _SIDES.items():
        pool.add_argument(
            f"--{side}",
            action=_Several,
            nargs="+",
            type=_parser.paths,
            default=(),
            metavar="DIR",
            required=side in ("positive", "negative"),
            help=text,
        )
    add(pool, "--oracle", ": R holds the others' relearning against its own; for forget_quality and privleak too")
    pool.add_argument(
        "--of",
        choices=("forget", "retain", "neighbour", "world"),
        default="forget",
        help="role of the rows that the models know or do not know",
    )
    add(pool, "--stress", "; here: relearning (one epoch on the forget rows), quantization (NF4) of checkpoints")
    add(parser, "--metrics", ": task/metric, or metric; * and ? allowed (default: all)", default=())
    models = parser.add_argument_group("how checkpoints are asked")
    _add_asking(models)
    add_trust(models)
    _options.add_scoring_arguments(parser)
    output = parser.add_argument_group("output")
    add(output, "--output", ": folder of meta.json, meta.md and the results that are made")
    add(output, "--quiet")
    add(output, "--json", " (meta.json)")


def _add_asking(group: argparse._ActionsContainer) -> None:
    add(group, "--tasks", default=("nano",))
    for name in ("--data-dir", "--data-revision", "--forget-split", "--limit"):
        add(group, name)
    add_prompt(group)
    add(group, "--batch-size", default=32)
    add(group, "--dtype", " (default: auto, the checkpoint's)", default="auto")
    add(group, "--device")
    add(group, "--seed", default=0)


class _Several(_parser.Listed):
    """Several values after one flag, between commas, or by giving the flag again."""

    def __call__(self, parser, found, value, option=None):  # noqa: ANN001, ANN204
        super().__call__(parser, found, [name for names in value for name in names], option)


def run(args: argparse.Namespace) -> int:
    """Read or make the results, judge the metrics, show and write the tables; 1 if no metric has an AUC."""
    from unlearn_bench import results
    from unlearn_bench.cli._progress import show_progress
    from unlearn_bench.meta import document
    from unlearn_bench.meta.evaluate import evaluate
    from unlearn_bench.meta.gather import gather

    spec = _spec(args)
    told = {"metrics": list(args.metrics), "stress": list(spec.stress), "tasks": list(args.tasks), "limit": args.limit}
    with show_progress(quiet=args.quiet or args.json) as progress:
        if args.output is None:
            report = evaluate(gather(spec, progress), asked=args.of, metrics=args.metrics)
            written = []
        else:
            with results.writing(args.output):
                report = evaluate(gather(spec, progress), asked=args.of, metrics=args.metrics)
                written = document.write(report, args.output, told)
    if args.json:
        sys.stdout.write(json.dumps(document.to_dict(report, told), indent=1, ensure_ascii=False) + "\n")
    elif not args.quiet:
        print_report(report)
        sys.stdout.write("".join(f"{path}\n" for path in written))
    judged = any(one.auc is not None and one.knows is not None for one in report.metrics)
    return EXIT_OK if judged else EXIT_FAILED


def _spec(args: argparse.Namespace) -> "PoolSpec":
    from unlearn_bench import results
    from unlearn_bench.harness.spec import RunSpec, Scoring, option_names
    from unlearn_bench.meta.gather import PoolSpec
    from unlearn_bench.meta.pool import STRESSES
    from unlearn_bench.registry import did_you_mean

    if args.output is not None:
        results.require_folder(args.output)
    for name in args.stress:
        if name not in STRESSES:
            raise did_you_mean("stress", name, STRESSES)
    _refuse_unused(args)
    options = {name: getattr(args, name) for name in option_names() - {"oracle"} if hasattr(args, name)}
    made = {"template_date": template_date(args), "first_answer": not _options.is_released(args)}
    return PoolSpec(
        sides=_sides(args),
        run=RunSpec.of({**options, **made}, Scoring.split(_options.scoring_settings(args))),
        stress=args.stress,
        folder=args.output,
    )


def _sides(args: argparse.Namespace) -> "dict[Side, Sequence[str]]":
    """Side to what is named for it."""
    return {side: getattr(args, side) for side in _SIDES} | {"oracle": (args.oracle,) if args.oracle else ()}


def _refuse_unused(args: argparse.Namespace) -> None:
    """What says how models are asked or scored is a mistake where none is."""
    from unlearn_bench.meta.gather import kinds

    named = kinds(_sides(args))
    if "checkpoint" not in named:
        asking = {"--stress", *given(args, _add_asking)}
        refuse(args, add_arguments, asking, "is for checkpoints, and only results and logs are named")
    if named == {"result"}:
        scoring = given(args, _options.add_scoring_arguments)
        refuse(args, add_arguments, scoring, "says how answers are scored, and only results are named")


def print_report(report: "MetaReport") -> None:
    """The two tables, what is alike, and the notes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unlearn_bench.meta import document
    from unlearn_bench.result_table import PIPE_WIDTH

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    console.print(Text(document.heading(report)), soft_wrap=True)
    parts = (
        (document.COLUMNS, document.rows(report), document.LEGEND),
        (document.OTHERS, document.other_rows(report), document.OTHERS_LEGEND),
    )
    for columns, rows, legend in parts:
        if not rows:
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(name, justify="left" if name in ("metric", "more known") else "right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
        console.print(Text(legend), soft_wrap=True)
    if pairs := document.alike(report):
        shown = ", ".join(f"{one} and {other} ({rho:.2f})" for one, other, rho in pairs[:5])
        console.print(Text(f"say the same (Spearman over the pool): {shown}"), soft_wrap=True)
    for note in document.notes(report):
        console.print(Text(note), soft_wrap=True)
