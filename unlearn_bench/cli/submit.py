"""Put a result on a leaderboard: checked, verified from its samples, written atomically.

Refused with every reason: unlike scorers, data, versions or settings; numbers out of range; duplicates; hidden text.
With --published, a board's maintainers add a row that is scored from a log that others published: numbers and hashes
come onto the board, the answers stay where they are.
Example: unlearn-bench submit out/result.json --leaderboard leaderboards/nano.json --name relearn
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli._flags import add
from unlearn_bench.cli._parser import add_former_name
from unlearn_bench.cli._unused import refuse

if TYPE_CHECKING:
    from unlearn_bench.boards.submit import Claim, Submitted

HELP = "add a result to a leaderboard"


_OF_A_RESULT = frozenset(("--samples", "--keep-samples", "--training", "--no-rescore", "--data-dir"))
_OF_A_LOG = frozenset(("--source", "--source-file", "--source-sha256", "--source-revision", "--licence"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "result", type=Path, metavar="RESULT", help="result.json, or its folder; with --published a log"
    )
    add(parser, "--leaderboard", required=True)
    parser.add_argument("--name", required=True, help="name of the entry")
    add(parser, "--samples")
    parser.add_argument(
        "--keep-samples",
        action="store_true",
        help="keep the samples next to the board (always, where it asks for verified entries)",
    )
    parser.add_argument("--training", type=Path, metavar="FILE", help="training.json of `train`, or your own")
    parser.add_argument("--paper", metavar="URL", help="address of the paper")
    parser.add_argument("--code", metavar="URL", help="address of the code")
    parser.add_argument("--notes", metavar="TEXT", help="what a reader should know")
    add(parser, "--submitter")
    parser.add_argument(
        "--relationship",
        choices=("first_party", "third_party", "unspecified"),
        default="unspecified",
        help="whether the makers of the model evaluated it",
    )
    add(parser, "--overwrite", ": the entry of this name and submitter, which becomes its history")
    add_former_name(parser, "--replace", "--overwrite")
    parser.add_argument("--maintainer", action="store_true", help="with --overwrite: any submitter's entry")
    parser.add_argument("--because", metavar="TEXT", help="with --overwrite: why")
    add(
        parser,
        "--rescore",
        "; --no-rescore trusts the evidence that the samples record, and marks the entry so",
        default=True,
    )
    add(parser, "--data-dir", ", to compare the questions with")
    published = parser.add_argument_group("published logs (maintainers)")
    published.add_argument(
        "--published",
        choices=("original", "oracle"),
        help="RESULT is a published log, of a model before unlearning or of one that never saw the forget set",
    )
    published.add_argument("--source", metavar="URL", help="where the log is published")
    published.add_argument("--source-file", metavar="PATH", help="its place there (default: the file's name)")
    published.add_argument("--source-sha256", metavar="HASH", help="of the file there, where this one is a copy")
    published.add_argument("--source-revision", metavar="COMMIT", help="commit of the source")
    published.add_argument("--licence", metavar="NAME", help="of the log")
    add(parser, "--json", " (what was submitted, and its position)")


def run(args: argparse.Namespace) -> int:
    """Submit, and print the entry's position."""
    from unlearn_bench.boards import submit as verb

    _refuse_unused(args)
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
    if args.published:
        return _publish(args, claim)
    done = verb.submit(
        args.result,
        args.leaderboard,
        claim,
        samples=args.samples,
        keep_samples=args.keep_samples,
        replace=args.overwrite,
        maintainer=args.maintainer,
        rescore=args.rescore,
        data_dir=Path(args.data_dir) if args.data_dir else None,
    )
    return _tell(args, done)


def _refuse_unused(args: argparse.Namespace) -> None:
    """What the way of submitting would not read is a mistake."""
    if args.published:
        what = "says something of a result, and --published scores a log by the board's rules"
        refuse(args, add_arguments, _OF_A_RESULT, what)
    else:
        refuse(args, add_arguments, _OF_A_LOG, "is for a published log", hint="--published original or oracle")
    if not args.overwrite:
        refuse(args, add_arguments, ("--because",), "says why an entry is replaced", hint="add --overwrite")
        if not args.published:
            refuse(args, add_arguments, ("--maintainer",), "replaces any submitter's entry", hint="add --overwrite")


def _publish(args: argparse.Namespace, claim: "Claim") -> int:
    """Put a row scored from a published log on the board."""
    from unlearn_bench import formats
    from unlearn_bench.boards.publish import Source, publish
    from unlearn_bench.errors import UserError
    from unlearn_bench.harness.published import LogFolder

    if not args.maintainer:
        raise UserError("--published is for the board's maintainers", hint="they say so with --maintainer")
    if not args.source:
        raise UserError("--published needs --source URL: where the log is published")
    of_file, of_content = formats.hashes(args.result)
    if of_content is None:
        raise UserError(f"{args.result} is not a JSON log")
    source = Source(
        stands_for=args.published,
        file=args.source_file or args.result.name,
        source=args.source,
        revision=args.source_revision,
        licence=args.licence,
        sha256=args.source_sha256,
    )
    logs = LogFolder(args.result.parent)
    done = publish(args.result, args.leaderboard, claim, source, logs, (of_file, of_content), replace=args.overwrite)
    return _tell(args, done)


def _tell(args: argparse.Namespace, done: "Submitted") -> int:
    from unlearn_bench.errors import EXIT_OK
    from unlearn_bench.results import beside
    from unlearn_bench.untrusted.escape import line

    if args.json:
        verified = done.verification and {"samples": done.verification.rows, "level": done.verification.level}
        said = {"name": done.entry.name, "leaderboard": str(args.leaderboard), "entries": done.entries}
        said |= {"replaced": bool(done.replaced), "standing": done.standing, "verified": verified}
        print(json.dumps(said, indent=2, ensure_ascii=False))
        return EXIT_OK
    what = "replaced" if done.replaced else "added"
    print(line(f"{what} {done.entry.name!r} in {args.leaderboard} ({done.entries} entries): {done.standing}"))
    for note in done.notes:
        print(line(f"note: {note}"), file=sys.stderr)
    report = done.verification
    if report is not None:
        level = "from the responses" if report.level == "rescored" else "from the recorded evidence (not rescored)"
        print(f"verified: {report.recomputed} metrics follow from {report.rows} samples, {level}")
    elif args.published:
        print("scored from a published log: `unlearn-bench verify BOARD --logs DIR` scores it again")
    elif args.samples or beside(args.result):
        print("not verified: the dataset's rows are not known here (--data-dir DIR)")
    else:
        print("not verified: no samples.jsonl next to the result (name it with --samples)")
    return EXIT_OK
