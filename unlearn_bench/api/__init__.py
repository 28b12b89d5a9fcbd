"""The Python API: what the verbs `run`, `score` and `compare` do, as functions.

Each function makes the specification that its verb makes of a command line, and calls what the verb calls. Mistakes
are `UserError`.
"""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from unlearn_bench import results
from unlearn_bench.api._rows import Rows, about_rows, error_about_rows, files_of
from unlearn_bench.api.evaluation import Evaluation
from unlearn_bench.api.settings import RunSettings, ScoringSettings
from unlearn_bench.comparison.compare import CompareReport
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import Unpack

    from unlearn_bench.harness.progress import Progress
    from unlearn_bench.harness.spec import RunSpec, Scoring

__all__ = [
    "CompareReport", "Evaluation", "RunSettings", "ScoringSettings", "compare", "evaluate", "load_result", "score",
]  # fmt: skip

Named: TypeAlias = str | PathLike[str]


def evaluate(
    model: "Named | PreTrainedModel" = "nano-full",
    tasks: Sequence[str] = ("nano",),
    *,
    tokenizer: "str | PreTrainedTokenizerBase | None" = None,
    name: str | None = None,
    progress: "Progress | None" = None,
    **settings: "Unpack[RunSettings]",
) -> Evaluation:
    """Ask a checkpoint the questions of tasks and score its answers, as `unlearn-bench run` does.

    Args:
        model: An embedded name, a folder, a hub id, or a loaded causal language model (also a PEFT model). A loaded
            model is asked where it is, and has its training mode and generation settings back afterwards; its weights
            are identified by the hash of its tensors.
        tasks: Names of tasks and groups, or patterns ("nano_*").
        tokenizer: Of a loaded model; for a checkpoint, a folder in place of its own tokenizer.
        name: What the result calls a loaded model.
        progress: Told what happens.
        settings: Options of `run` by their names: limit=8, batch_size=64, profile="standard", nli="rules", …

    Raises:
        UserError: for anything that can be put right: model, data, names of tasks, settings.
    """
    from unlearn_bench.harness.backends import load_in_memory
    from unlearn_bench.harness.spec import RunSpec, option_names
    from unlearn_bench.models.in_memory import borrowed, name_of

    if isinstance(tasks, str):
        raise UserError(f"tasks={tasks!r}: expected several names", hint=f"pass tasks=[{tasks!r}]")
    own = option_names() - {"model", "tasks", "tokenizer"}
    asked: dict[str, Any] = {key: value for key, value in settings.items() if key in own}
    asked |= {"tasks": tuple(tasks)}
    scoring = _scoring(settings, own)
    if isinstance(model, str | PathLike):
        if name is not None or not isinstance(tokenizer, str | None):
            raise UserError("name and a loaded tokenizer are for a loaded model", hint=f"and {str(model)!r} is none")
        return _run(RunSpec.of({**asked, "model": str(model), "tokenizer": tokenizer}, scoring), progress)
    if tokenizer is None or isinstance(tokenizer, str):
        raise UserError("a loaded model needs its loaded tokenizer", hint="pass tokenizer=…")
    with borrowed(model):
        load = partial(load_in_memory, model=model, tokenizer=tokenizer)
        return _run(RunSpec.of({**asked, "model": name or name_of(model)}, scoring), progress, load=load)


def _run(spec: "RunSpec", progress: "Progress | None", **how: Any) -> Evaluation:
    from unlearn_bench.harness.run import evaluate as run

    outcome = run(spec, progress, **how)
    if outcome is None:
        raise UserError("this process only helps another one", hint="use the command under torchrun or accelerate")
    result, samples = outcome
    result.samples_sha256 = results.samples_sha256(samples)
    return Evaluation(result, _samples=tuple(samples))


def score(
    rows: Rows,
    *,
    role: Role | None = None,
    metrics: Sequence[str] | None = None,
    format: str = "auto",
    mapping: Mapping[str, str] | None = None,
    first_answer: bool = True,
    strict: bool = False,
    name: str | None = None,
    tokenizer: Path | None = None,
    **scoring: "Unpack[ScoringSettings]",
) -> Evaluation:
    """Score answers that were made elsewhere, as `unlearn-bench score` does.

    Args:
        rows: A file or several of one model, or rows in memory: dictionaries or a DataFrame with question, reference
            and response under any usual name, and optionally id, role, cluster.
        role: What the answers are about, where the rows do not say: "forget", "retain", …
        metrics: Names of metrics or scorers; each is computed on the roles where it means something.
        format: How to read files.
        mapping: Field to the key that holds it, for rows with keys of their own.
        first_answer: Score the answer only, without thinking and ramblings.
        strict: Refuse malformed rows, instead of scoring the others and naming those in `Evaluation.errors`.
        name: What the result calls the model; the first file's name if left out.
        tokenizer: Folder of the model's tokenizer, for lm-eval's logs of the likelihoods of single texts.
        scoring: Options by their names: profile="standard", kfr_rule="paper", …

    Raises:
        UserError: for files or rows that cannot be read, unknown metrics and settings.
    """
    from unlearn_bench.harness.score import ScoreSpec
    from unlearn_bench.harness.score import score as score_files
    from unlearn_bench.harness.score_plan import METRICS

    with tempfile.TemporaryDirectory() as scratch:
        files = files_of(rows, Path(scratch))
        spec = ScoreSpec(
            files=files,
            metrics=METRICS if metrics is None else tuple(metrics),
            format=format,
            role=role,
            mapping=mapping or {},
            scoring=_scoring(scoring, set()),
            first_answer=first_answer,
            strict=strict,
            model_name=name,
            tokenizer=tokenizer,
        )
        in_memory = Path(scratch) in files[0].parents
        try:
            outcome = score_files(spec)
        except UserError as error:
            raise (error_about_rows(error, files[0]) if in_memory else error) from None
    errors = [about_rows(error, files[0]) if in_memory else error for error in outcome.errors]
    outcome.result.samples_sha256 = results.samples_sha256(outcome.samples)
    return Evaluation(outcome.result, tuple(errors), tuple(outcome.samples))


def _scoring(settings: Mapping[str, object], others: set[str]) -> "Scoring":
    """The settings of profile, parts and scorers; anything that is neither these nor `others` is an error."""
    from unlearn_bench.evidence.pipeline import default_options
    from unlearn_bench.evidence.profiles import SETTINGS
    from unlearn_bench.harness.spec import Scoring

    known = {*SETTINGS, *default_options()}
    for name in settings:
        if name not in known | others:
            raise did_you_mean("setting", name, known | others)
    return Scoring.split({"profile": "offline", **{key: value for key, value in settings.items() if key in known}})


def compare(
    first: "Evaluation | Named",
    *others: "Evaluation | Named",
    metrics: Sequence[str] = (),
) -> CompareReport:
    """Compare results with the first of them, question by question where both have samples; as the verb does.

    Args:
        first: An `Evaluation`, a result.json or its folder, or BOARD.json#NAME.
        others: At least one more.
        metrics: Only these: "task/metric" or "metric", * and ? allowed.

    Raises:
        UserError: for fewer than two results, none in common, or a result that does not follow from its samples.
    """
    from unlearn_bench.boards.lookup import load
    from unlearn_bench.comparison.compare import compare as compare_loaded

    with tempfile.TemporaryDirectory() as scratch:
        named = [_saved(one, Path(scratch) / str(number)) for number, one in enumerate((first, *others))]
        return compare_loaded([load(one) for one in named], metrics)


def _saved(one: "Evaluation | Named", folder: Path) -> str:
    """Where a result lies; one in memory is written first, and so is checked as any other."""
    if not isinstance(one, Evaluation):
        return str(one)
    one.save(folder)
    return str(folder)


def load_result(path: Named) -> Evaluation:
    """Read a result.json or its folder, with its samples, or an entry of a leaderboard (BOARD.json#NAME).

    Raises:
        UserError: if it cannot be read, or the samples are not this result's.
    """
    from unlearn_bench.boards.lookup import load

    found = load(str(path))
    return Evaluation(found.result, _samples=None if found.samples is None else tuple(found.samples))
