"""Measure how often KFR, KRR and judges (--judge) are wrong, by a person's labels, and write it for other verbs.

The sheets are those of `unlearn-bench label`; the results are those whose answers were labelled. The file holds numbers
and hashes, no sentence. `run`, `score`, `check` and `report` take it as --calibration FILE: they show the value also
without the judge's error, with its interval, where the judge is the same (scorer, parts, options).
Example: unlearn-bench calibrate npo.csv --result results/npo --output calibration.json
"""

import argparse
import sys
from pathlib import Path

from unlearn_bench.cli._flags import add
from unlearn_bench.cli._parser import Listed, paths

HELP = "measure a judge's error by a person's labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sheets", nargs="+", type=Path, metavar="SHEET", help="labelled sheets, .csv or .jsonl")
    parser.add_argument(
        "--result",
        action=Listed,
        type=paths,
        required=True,
        metavar="RESULT,…",
        help="whose answers were labelled",
    )
    add(parser, "--output", ": file of the calibration", required=True)
    add(parser, "--overwrite", ": a calibration")
    parser.add_argument("--reader", default="unnamed", metavar="NAME", help="who labelled")
    parser.add_argument(
        "--partly",
        choices=("known", "forgotten"),
        default="forgotten",
        help="what an answer that shows a part of the knowledge counts as (default: %(default)s)",
    )
    add(parser, "--json", " (the calibration)")


def run(args: argparse.Namespace) -> int:
    """Calibrate, write, and show sensitivity and specificity."""
    from unlearn_bench.calibration.calibrate import calibrate
    from unlearn_bench.calibration.correct import known_and_unknown, why_not
    from unlearn_bench.calibration.document import write_calibration
    from unlearn_bench.calibration.sheet import labels_in, read_sheet
    from unlearn_bench.cli._overwriting import refuse_file
    from unlearn_bench.comparison import loaded
    from unlearn_bench.errors import EXIT_OK

    refuse_file(args.output, [*args.sheets, *map(Path, args.result)], overwrite=args.overwrite)
    labels = labels_in({path: read_sheet(path) for path in args.sheets})
    results = [loaded.with_samples(Path(path)) for path in args.result]
    calibration = calibrate(labels, results, reader=args.reader, partly=args.partly)
    write_calibration(args.output, calibration)
    if args.json:
        sys.stdout.write(args.output.read_text(encoding="utf-8"))
        return EXIT_OK
    for metric, error in calibration.metrics.items():
        known, other = ("-" if side is None else f"{side:.3f}" for side in known_and_unknown(metric, error))
        sys.stdout.write(
            f"{metric}: known called known {known}, not known called not known {other}, {error.answers} labels\n"
        )
        if problem := why_not(metric, error):
            sys.stdout.write(f"{metric} cannot be corrected with it: {problem}\n")
    sys.stdout.write(f"{args.output}\n")
    return EXIT_OK
