"""Write a result in another format: Every Eval Ever 0.3.0, the hub's .eval_results, or open-unlearning's logs.

The last need the result's samples; with --output DIR both TOFU_EVAL.json and TOFU_SUMMARY.json are written.

Examples:
  unlearn-bench export leaderboards/nano.json#nano-relearn --to every-eval-ever
  unlearn-bench export results/npo --to open-unlearning --output saves/eval/npo/
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli._flags import add
from unlearn_bench.cli._unused import refuse

if TYPE_CHECKING:
    from unlearn_bench.comparison.loaded import LoadedResult

HELP = "write a result as Every Eval Ever, Hugging Face eval results, or open-unlearning's logs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", metavar="RESULT", help="result.json, its folder, or BOARD.json#NAME")
    parser.add_argument(
        "--to",
        choices=("every-eval-ever", "hf-eval-results", "open-unlearning"),
        required=True,
        help="the format of the output",
    )
    parser.add_argument("--organization", metavar="NAME", default="unspecified", help="who evaluated")
    add(parser, "--output", ": a file, instead of standard output")


def run(args: argparse.Namespace) -> int:
    """Export and print."""
    import yaml

    from unlearn_bench.boards.lookup import find
    from unlearn_bench.cli._overwriting import refuse_report
    from unlearn_bench.errors import EXIT_OK
    from unlearn_bench.files import write_atomically
    from unlearn_bench.results import require_folder
    from unlearn_bench.site import export

    if args.to != "every-eval-ever":
        refuse(args, add_arguments, ("--organization",), f"is not said in {args.to}")
    if args.to == "open-unlearning" and args.output and args.output.suffix != ".json":
        require_folder(args.output)
    else:
        refuse_report("--output", args.output, [args.result])
    loaded, entry = find(args.result)
    if args.to == "open-unlearning":
        return _open_unlearning(loaded, args.output)
    if args.to == "every-eval-ever":
        record = export.every_eval_ever(loaded.result, organization=args.organization, entry=entry)
        text = _json(record)
    else:
        found = export.hf_eval_results(loaded.result, entry=entry)
        text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    return EXIT_OK


def _json(document: object) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _open_unlearning(loaded: "LoadedResult", output: Path | None) -> int:
    """Write both logs into a folder, or the one with the rows into a file or to standard output."""
    from unlearn_bench.errors import EXIT_OK, UserError
    from unlearn_bench.files import write_atomically
    from unlearn_bench.site.open_unlearning import evaluation, summary

    if loaded.samples is None:
        raise UserError(
            f"the samples of {loaded.name} are missing, and open-unlearning's logs hold every row",
            hint="keep samples.jsonl next to result.json",
        )
    document = evaluation(loaded.result, loaded.samples)
    if output is None:
        sys.stdout.write(_json(document))
    elif output.suffix == ".json":
        write_atomically(output, [_json(document)])
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_atomically(output / "TOFU_EVAL.json", [_json(document)])
        write_atomically(output / "TOFU_SUMMARY.json", [_json(summary(document))])
    return EXIT_OK
