"""Write a result in another format: Every Eval Ever 0.3.0 (JSON), or the hub's .eval_results (YAML).

Example: unlearn-bench export leaderboards/nano.json#nano-relearn --to every-eval-ever
"""

import argparse
import sys

from unlearn_bench.cli._flags import add

HELP = "write a result as Every Eval Ever or Hugging Face eval results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", metavar="RESULT", help="result.json, its folder, or BOARD.json#NAME")
    parser.add_argument(
        "--to", choices=("every-eval-ever", "hf-eval-results"), required=True, help="the format of the output"
    )
    parser.add_argument("--organization", metavar="NAME", default="unspecified", help="who evaluated")
    add(parser, "--output", ": a file, instead of standard output")


def run(args: argparse.Namespace) -> int:
    """Export and print."""
    import json

    import yaml

    from unlearn_bench.boards.lookup import find
    from unlearn_bench.errors import EXIT_OK
    from unlearn_bench.files import write_atomically
    from unlearn_bench.site import export

    loaded, entry = find(args.result)
    if args.to == "every-eval-ever":
        record = export.every_eval_ever(loaded.result, organization=args.organization, entry=entry)
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        found = export.hf_eval_results(loaded.result, entry=entry)
        text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    if args.output:
        write_atomically(args.output, [text])
    else:
        sys.stdout.write(text)
    return EXIT_OK
