"""Recompute a result from its samples, or check a whole leaderboard file.

A result: its questions and references are the dataset's, every score follows from the evidence in its record, every
aggregate and interval from those scores; with --rescore also the evidence, from the responses. Exit 0: they agree.
A board: every entry as if submitted again, its evidence from the responses; with --against OLD, that entries were only
added, or replaced by the --submitter that they name, and nothing else changed.
Example: unlearn-bench verify out/result.json --samples out/samples.jsonl
"""

import argparse
import json
from pathlib import Path

from unlearn_bench.cli import _options
from unlearn_bench.cli._flags import add, add_trust

HELP = "recompute a result, or every entry of a leaderboard, from its samples"
_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("target", type=Path, metavar="RESULT|BOARD", help="result.json, its folder, or a leaderboard")
    add(parser, "--samples")
    add(parser, "--rescore", ": a board's by default and as its rules say, a result's with the options below")
    parser.add_argument("--against", type=Path, metavar="OLD", help="for a board: the version before")
    add(parser, "--submitter", ": with --against, whose entries may be replaced")
    add(parser, "--data-dir", ", to compare the questions with")
    add(parser, "--format", choices=("text", "json"), default="text")
    add(parser, "--json")
    add_trust(parser, partial=False)
    _options.add_scoring_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Verify, and say what does not agree."""
    from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

    problems, summary = _board(args) if _is_board(args.target) else _result(args)
    if args.json or args.format == "json":
        found = [{"code": problem.code, "message": problem.message} for problem in problems]
        print(json.dumps({"agrees": not problems, **summary, "problems": found}, indent=1))
    else:
        for problem in problems[:_SHOWN]:
            print(problem)
        if len(problems) > _SHOWN:
            print(f"… and {len(problems) - _SHOWN} more")
        said = {key: ", ".join(value) if isinstance(value, list) else value for key, value in summary.items()}
        counts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in said.items())
        print(f"{'does not agree' if problems else 'agrees'}: {counts}, problems {len(problems)}")
    return EXIT_FAILED if problems else EXIT_OK


def _is_board(path: Path) -> bool:
    from unlearn_bench.boards import store
    from unlearn_bench.untrusted import strict_json

    if path.is_dir():
        return False
    text = strict_json.read_text(path, limit=store.MAX_BOARD, what="result or leaderboard")
    try:
        document = strict_json.parse(text)
    except strict_json.Refused:
        return False  # the reader of results says what is wrong with it
    return isinstance(document, dict) and "benchmark" in document


def _board(args: argparse.Namespace) -> tuple[list, dict]:
    from unlearn_bench.boards.audit import audit
    from unlearn_bench.errors import UserError

    if args.samples or _options.scoring_settings(args) != {"profile": "offline"}:
        raise UserError(
            "--samples and the scoring options are for one result",
            hint="a board keeps its samples, and its rules say how it is scored",
        )
    if args.submitter and not args.against:
        raise UserError("--submitter says whose changes these are: it needs --against OLD")
    report = audit(
        args.target, args.against, rescore=args.rescore is not False, submitter=args.submitter, data_dir=_folder(args)
    )
    level = "rescored" if report.rescored else "not rescored"
    return report.problems, {"entries": report.entries, "verified": report.verified, "level": level}


def _result(args: argparse.Namespace) -> tuple[list, dict]:
    from unlearn_bench.boards.known_rows import KnownRows
    from unlearn_bench.boards.rescorer import Rescorer
    from unlearn_bench.boards.verify import paths_of, verify
    from unlearn_bench.errors import UserError
    from unlearn_bench.results import read_document
    from unlearn_bench.results.plausible import document_problems

    if args.against or args.submitter:
        raise UserError("--against and --submitter are for a leaderboard, and this is a result")
    result, plain = read_document(args.target)
    samples = paths_of(args.target, args.samples)
    parts, options = _scoring(args)
    recorded = {key: value for task in result.tasks.values() for key, value in task.scorer.options.items()}
    rescorer = Rescorer({**parts, **recorded, **options}) if args.rescore else None
    report = verify(result, samples, rescorer, options, known=KnownRows(data_dir=_folder(args)))
    problems = document_problems(result, plain) + report.problems
    summary = {"samples": report.rows, "scores": report.scores, "metrics": report.recomputed, "level": report.level}
    if report.unknown_rows:
        summary["dataset_not_at_hand_for"] = list(report.unknown_rows)
    return problems, summary


def _folder(args: argparse.Namespace) -> Path | None:
    return Path(args.data_dir) if args.data_dir else None


def _scoring(args: argparse.Namespace) -> tuple[dict, dict]:
    """What the command line says of the parts, and of the scorers' options."""
    from unlearn_bench.evidence import profiles

    given = _options.scoring_settings(args)
    parts = {key: value for key, value in given.items() if key in profiles.SETTINGS}
    return parts, {key: value for key, value in given.items() if key not in parts}
