"""Put a result on a leaderboard: checked, verified from its samples, written atomically.

Refused with every reason: unlike scorers, data, versions or settings; numbers out of range; duplicates; hidden text.
Example: unlearn-bench submit out/result.json --leaderboard leaderboards/nano.json --name relearn
"""

import argparse
from pathlib import Path

HELP = "add a result to a leaderboard"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("result", type=Path, metavar="RESULT", help="result.json, or the folder that holds it")
    parser.add_argument("--leaderboard", type=Path, required=True, metavar="FILE", help="the board's JSON file")
    parser.add_argument("--name", required=True, help="name of the entry")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="samples.jsonl; beside the result by default")
    parser.add_argument(
        "--keep-samples",
        action="store_true",
        help="keep the samples beside the board (always, where it asks for verified entries)",
    )
    parser.add_argument("--training", type=Path, metavar="FILE", help="training.json of `train`, or your own")
    parser.add_argument("--paper", metavar="URL", help="address of the paper")
    parser.add_argument("--code", metavar="URL", help="address of the code")
    parser.add_argument("--notes", metavar="TEXT", help="what a reader should know")
    parser.add_argument("--submitter", metavar="TEXT", help="who submits")
    parser.add_argument(
        "--relationship",
        choices=("first_party", "third_party", "unspecified"),
        default="unspecified",
        help="whether the makers of the model evaluated it",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the entry of this name and submitter, keeping its history"
    )
    parser.add_argument("--maintainer", action="store_true", help="with --replace: whoever submitted the entry")
    parser.add_argument("--because", metavar="TEXT", help="with --replace: why")

    parser.add_argument(
        "--no-rescore",
        dest="rescore",
        action="store_false",
        help="believe the evidence that the samples record; the entry then says so",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder of datasets, to compare the questions with"
    )


def run(args: argparse.Namespace) -> int:
    """Submit, and say where the entry stands."""
    from unlearn_bench.boards import submit as verb
    from unlearn_bench.errors import EXIT_OK
    from unlearn_bench.results import beside
    from unlearn_bench.untrusted.escape import line

    claim = verb.Claim(
        name=args.name,
        submitter=args.submitter,
        relationship=args.relationship,
        paper=args.paper,
        code=args.code,
        notes=args.notes,
        training=verb.read_training(args.training) if args.training else None,
        because=args.because,
    )
    done = verb.submit(
        args.result,
        args.leaderboard,
        claim,
        samples=args.samples,
        keep_samples=args.keep_samples,
        replace=args.replace,
        maintainer=args.maintainer,
        rescore=args.rescore,
        data_dir=args.data_dir,
    )
    what = "replaced" if done.replaced else "added"
    print(line(f"{what} {done.entry.name!r} in {args.leaderboard} ({done.entries} entries): {done.standing}"))
    report = done.verification
    if report is not None:
        level = "from the responses" if report.level == "rescored" else "from the recorded evidence (not rescored)"
        print(f"verified: {report.recomputed} metrics follow from {report.rows} samples, {level}")
    elif args.samples or beside(args.result):
        print("not verified: the dataset's rows are not known here (--data-dir DIR)")
    else:
        print("not verified: no samples.jsonl beside the result (name it with --samples)")
    return EXIT_OK
