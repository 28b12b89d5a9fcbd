"""Score generations that were made elsewhere, with the scorers, the table and the files of `run`.

FILE (- for standard input; .gz, .bz2 and .xz are unpacked) is one of, recognised by how it begins:
  table            rows of {question, reference, response} with optional id, role, cluster: a JSON array, JSON lines,
                   an object that holds rows, Parquet. Many other keys are understood (prompt, answer, prediction,
                   messages, …); --map names any
  csv              the same with a heading: commas, semicolons or tabs
  lm_eval_samples  samples_TASK_TIME.jsonl of lm-eval, of any generation or multiple-choice task, and with --tokenizer
                   of log-likelihoods of single texts
  open_unlearning  *_EVAL.json of open-unlearning, likelihoods and all; *_SUMMARY.json is only shown
  tofu_log         eval_log*.json of locuslab/tofu, or the aggregated file
  relearn_items    the item file of zjunlp/unlearn; --given scores it with the evidence it brings
  samples          samples.jsonl of this program

Malformed rows are named and left out, and the exit code is then 1; --strict refuses them (2).

Examples:
  unlearn-bench score answers.jsonl --role forget
  unlearn-bench score run.csv --role retain --map question=prompt,reference=gold,response=output.text
  unlearn-bench score TOFU_EVAL.json --oracle retain90/TOFU_EVAL.json --output results/npo
"""

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.cli import _options, _parser
from unlearn_bench.cli._flags import add, add_trust
from unlearn_bench.cli._oracle import named, require_oracle
from unlearn_bench.cli._unused import refuse
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, UserError, printable
from unlearn_bench.registry import Registry

if TYPE_CHECKING:
    from unlearn_bench.harness.oracle import Oracle

HELP = "score generations made elsewhere"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="generations of one model")
    add(parser, "--config")
    parser.add_argument(
        "--role",
        choices=("forget", "retain", "neighbour", "world", "holdout", "fluency"),
        default=argparse.SUPPRESS,
        help="what the answers are about, where the file does not say; where it does, only this role is scored",
    )
    _parser.add_former_name(parser, "--split", "--role")
    add(
        parser,
        "--metrics",
        ": names of scorers; each is computed on the roles where it belongs",
        default=("kfr", "krr", "ls", "rouge"),
    )
    parser.add_argument(
        "--input-format",
        default="auto",
        choices=_parser.Choices(_formats),
        metavar="NAME",
        help="how to read the files: %(choices)s",
    )
    _parser.add_former_name(parser, "--format", "--input-format")
    parser.add_argument(
        "--map",
        action=_parser.Listed,
        type=_parser.pairs,
        default=(),
        metavar="FIELD=KEY,…",
        help="which keys hold question, reference, response, id, role, cluster; dots reach inside (output.text)",
    )
    parser.add_argument(
        "--given",
        action="store_true",
        help="use the entities, coverage, NLI labels and perplexities that the file brings",
    )
    add(parser, "--tokenizer", ", the model's: it counts the tokens of the single texts whose likelihoods lm-eval logs")
    add(parser, "--first-answer", default=True)
    add(parser, "--original", ": its log in the same format, or its result; with --oracle each number gets its place")
    add(
        parser, "--oracle", ": its log in the same format, or its result with samples (for forget_quality, privleak, …)"
    )
    add(parser, "--strict", ": refuse malformed rows")
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="name of the model in the table (default: the file's name)",
    )
    _options.add_scoring_arguments(parser)
    add(parser, "--calibration")
    add(parser, "--labels")
    add_trust(parser, partial=False)
    output = parser.add_argument_group("output")
    add(output, "--output", ": folder of result.json and samples.jsonl (default: none, only the table)")
    add(output, "--overwrite", ": a result of other files or settings")
    add(output, "--quiet")
    add(output, "--json", " (result.json)")


def _path(text: str | None) -> "Path | Oracle | None":
    """A log or result as a path, a row of a board as what it holds."""
    found = named(text)
    return Path(found) if isinstance(found, str) else found


def _formats() -> list[str]:
    return ["auto", *Registry(kind="format", package="unlearn_bench.formats", attribute="read").names()]


def run(args: argparse.Namespace) -> int:
    """Score the files, write what was asked for, show the table."""
    with tempfile.TemporaryDirectory() as scratch:
        spool = Path(scratch) / "stdin"
        args.files = [_spooled(spool) if str(file) == "-" else file for file in args.files]
        try:
            return _run(args, spool)
        except UserError as error:
            hint = error.hint and _as_given(error.hint, spool)
            raise UserError(_as_given(error.message, spool), hint=hint) from None


def _as_given(text: str, spool: Path) -> str:
    return text.replace(str(spool), "standard input")


def _refuse_unused(args: argparse.Namespace) -> None:
    """An option that this call would not read is a mistake."""
    require_oracle(args)
    if args.output is None:
        refuse(args, add_arguments, ("--overwrite",), "is for --output")


def _spooled(path: Path) -> Path:
    """Standard input as a file, so that it is read, hashed and named as any other."""
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _run(args: argparse.Namespace, spool: Path) -> int:
    from unlearn_bench.calibration.correct import read_given
    from unlearn_bench.cli._overwriting import refuse_other_scores
    from unlearn_bench.formats import parse_map
    from unlearn_bench.harness.score import ScoreSpec, score, summary
    from unlearn_bench.harness.spec import Scoring
    from unlearn_bench.results import dump_result, write_results, writing

    _refuse_unused(args)
    scoring = _options.scoring_settings(args)
    _options.keep_verdicts(scoring, args.output)
    spec = ScoreSpec(
        files=tuple(args.files),
        metrics=args.metrics,
        format=args.input_format,
        role=getattr(args, "role", None),
        mapping=parse_map(",".join(args.map)),
        scoring=Scoring.split({**dict.fromkeys(_options.PARTS, "given"), **scoring} if args.given else scoring),
        first_answer=args.first_answer and not _options.is_released(args),
        strict=args.strict,
        model_name=getattr(args, "model_name", None),
        tokenizer=None if args.tokenizer is None else Path(args.tokenizer).expanduser(),
        original=_path(args.original),
        oracle=_path(args.oracle),
    )
    folder, given = args.output, read_given(args.calibration, args.labels)
    if folder is None:
        outcome = score(spec)
        given.correct((outcome.result, outcome.samples))
    else:
        with writing(folder):
            outcome = score(spec, accept=partial(refuse_other_scores, folder, spec, overwrite=args.overwrite))
            given.correct((outcome.result, outcome.samples))
            write_results(folder, outcome.result, outcome.samples)
    if args.json:
        sys.stdout.write(dump_result(outcome.result))
    elif not args.quiet:
        from unlearn_bench.result_table import print_table

        print_table(outcome.result)
        if folder is not None:
            sys.stdout.write(f"{folder / 'result.json'}\n{folder / 'samples.jsonl'}\n")
    if outcome.errors:
        sys.stderr.write(printable(_as_given(f"left out:\n  {summary(outcome.errors)}", spool)) + "\n")
    return EXIT_FAILED if outcome.errors else EXIT_OK
