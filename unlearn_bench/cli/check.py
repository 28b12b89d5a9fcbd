"""The regression gate: is this checkpoint worse than the one before?

Exit 0: pass. 1: a regression. 2: not comparable, bad input, or the environment drifted. 3: undecided, which is a change
too large to be let pass that no test can call a regression, or a metric without a value (--undecided pass or fail).
The baseline is another result.json, or an entry of a leaderboard: leaderboards/nano.json#NAME. The same questions are
compared one by one, and numbers must follow from their samples; without samples (--allow-no-samples) the intervals are
compared.
Example: unlearn-bench check out/result.json --baseline leaderboards/nano.json#nano-relearn --gate gates.yaml
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from unlearn_bench.cli._flags import add

HELP = "regression gate: compare a result with a baseline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", metavar="RESULT", help="result.json, its folder, or BOARD.json#NAME")
    parser.add_argument("--baseline", required=True, metavar="RESULT", help="result.json, or BOARD.json#NAME")
    parser.add_argument("--gate", type=Path, metavar="FILE", help="gates.yaml; without: not worse by more than 0.05")
    add(parser, "--samples")
    parser.add_argument("--baseline-samples", type=Path, metavar="FILE", help="the baseline's samples.jsonl")
    parser.add_argument(
        "--allow-no-samples", action="store_true", help="take the numbers of a result without samples as they are"
    )
    add(parser, "--allow-partial")
    add(parser, "--calibration")
    add(parser, "--labels")
    parser.add_argument("--undecided", choices=("pass", "fail"), help="exit 0 or 1 instead of 3; beats the gate's own")
    add(parser, "--format", choices=("text", "json", "junit", "github"), default="text")
    add(parser, "--json")
    add(parser, "--output", ": a file, instead of standard output")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML, with any --format")


def run(args: argparse.Namespace) -> int:
    """Check, and show the verdict; what could not be checked is written in the same format."""
    from unlearn_bench.cli._overwriting import refuse_report
    from unlearn_bench.comparison import output
    from unlearn_bench.errors import UserError

    reads = (args.result, args.baseline, args.gate, args.samples, args.baseline_samples, args.calibration, args.labels)
    refuse_report("--output", args.output, reads)
    refuse_report("--junit", args.junit, reads)
    args.format = "json" if args.json else args.format
    try:
        report = _report(args)
    except UserError as error:
        if args.format != "text":
            _write(args, output.render_error(error, args.format))
        _write_junit(args, output.error_junit(error))
        raise
    _write_junit(args, output.to_junit(report))
    _write(args, output.render(report, args.format, colours=args.output is None and sys.stdout.isatty()))
    return report.exit_code


def _report(args: argparse.Namespace) -> "CheckReport":  # noqa: F821
    from unlearn_bench.boards.lookup import load
    from unlearn_bench.calibration.correct import read_given
    from unlearn_bench.comparison.check import check
    from unlearn_bench.comparison.gate import Gate, read_gate
    from unlearn_bench.results.identity import without_corrections

    gate = read_gate(args.gate) if args.gate else Gate()
    if args.undecided:
        gate = gate.model_copy(update={"undecided": args.undecided})
    candidate, baseline = load(args.result, args.samples), load(args.baseline, args.baseline_samples)
    candidate, baseline = (
        replace(loaded, result=without_corrections(loaded.result)) for loaded in (candidate, baseline)
    )
    read_given(args.calibration, args.labels).correct(
        *((loaded.result, loaded.samples or []) for loaded in (candidate, baseline))
    )
    return check(
        candidate,
        baseline,
        gate,
        allow_no_samples=args.allow_no_samples,
        allow_partial=args.allow_partial,
    )


def _write(args: argparse.Namespace, text: str) -> None:
    from unlearn_bench.cli._streams import workflow_commands
    from unlearn_bench.files import write_atomically

    if args.output:
        write_atomically(args.output, [text])
    elif args.format == "github":
        workflow_commands(text)
    else:
        sys.stdout.write(text)


def _write_junit(args: argparse.Namespace, text: str) -> None:
    from unlearn_bench.files import write_atomically

    if args.junit:
        write_atomically(args.junit, [text])
