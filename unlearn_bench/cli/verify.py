"""Recompute a result from its samples, or check a whole leaderboard file.

A result: every per-sample score from the evidence in its record, every aggregate and interval from those scores; with
--rescore also the evidence, from the raw responses, with the scorers that the scoring options name. Exit 0: they agree.
A board: every entry as if submitted again; with --against OLD, that nothing was removed or rewritten.
Example: unlearn-bench verify out/result.json --samples out/samples.jsonl
"""

import argparse
from pathlib import Path

HELP = "recompute a result from its samples"
_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from unlearn_bench.cli import _options

    parser.add_argument("target", type=Path, metavar="RESULT|BOARD", help="result.json, its folder, or a leaderboard")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="samples.jsonl; beside the result by default")
    parser.add_argument("--rescore", action="store_true", help="score the raw responses again, with the options below")
    parser.add_argument("--against", type=Path, metavar="OLD", help="for a board: the version before")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    _options.add_scoring_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Verify, and say what does not agree."""
    from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

    problems, summary = _board(args) if _is_board(args.target) else _result(args)
    if args.format == "json":
        import json

        found = [{"code": problem.code, "message": problem.message} for problem in problems]
        print(json.dumps({"agrees": not problems, **summary, "problems": found}, indent=1))
    else:
        for problem in problems[:_SHOWN]:
            print(problem)
        if len(problems) > _SHOWN:
            print(f"… and {len(problems) - _SHOWN} more")
        counts = ", ".join(f"{key} {value}" for key, value in summary.items())
        print(f"{'does not agree' if problems else 'agrees'}: {counts}, problems {len(problems)}")
    return EXIT_FAILED if problems else EXIT_OK


def _is_board(path: Path) -> bool:
    from unlearn_bench.leaderboard import _store, _strict_json

    if path.is_dir():
        return False
    text = _strict_json.read_text(path, limit=_store.MAX_BOARD, what="result or leaderboard")
    try:
        document = _strict_json.parse(text)
    except _strict_json.Refused:
        return False  # the reader of results says what is wrong with it
    return isinstance(document, dict) and "benchmark" in document


def _board(args: argparse.Namespace) -> tuple[list, dict]:
    from unlearn_bench.errors import UserError
    from unlearn_bench.leaderboard.audit import audit

    if args.samples or args.rescore:
        raise UserError("--samples and --rescore are for one result; a board's kept samples are verified anyway")
    report = audit(args.target, args.against)
    return report.problems, {"entries": report.entries, "verified": report.verified}


def _result(args: argparse.Namespace) -> tuple[list, dict]:
    from unlearn_bench.errors import UserError
    from unlearn_bench.leaderboard import _checks, _store
    from unlearn_bench.leaderboard.verify import paths_of, verify

    if args.against:
        raise UserError("--against is for a leaderboard, and this is a result")
    result, plain = _store.read_result(args.target)
    samples = paths_of(args.target, args.samples)
    parts, options = _scoring(args)
    report = verify(result, samples, _rescorer(parts, options) if args.rescore else None, options)
    problems = _checks.document_problems(result, plain) + report.problems
    summary = {"samples": report.rows, "scores": report.scores, "metrics": report.recomputed, "level": report.level}
    return problems, summary


def _scoring(args: argparse.Namespace) -> tuple[dict, dict]:
    """What the command line says of the parts, and of the scorers' options."""
    from unlearn_bench import profiles
    from unlearn_bench.cli import _options

    given = _options.scoring_settings(args)
    parts = {key: value for key, value in given.items() if key in profiles.SETTINGS}
    return parts, {key: value for key, value in given.items() if key not in parts}


def _rescorer(settings: dict, given: dict) -> "Rescore":  # noqa: F821
    """Score responses with the parts that the command line names, and the options that the result records."""
    from unlearn_bench import profiles
    from unlearn_bench.scorers._pipeline import DESCRIPTIVE, resolve, score_responses

    parts = profiles.parts_from(settings)
    descriptive = {metric.name for metric in DESCRIPTIVE}

    def rescore(task: "TaskResult", responses: list) -> tuple[list, str]:  # noqa: F821
        scorers = resolve(name for name in task.metrics if name not in descriptive)
        options = {**task.scorer.options, **given}
        again = score_responses(responses, scorers, parts, options)
        return again, profiles.scorer_info(parts, scorers, options)

    return rescore
