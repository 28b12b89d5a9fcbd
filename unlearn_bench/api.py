"""The Python API: what the verbs `run`, `score` and `compare` do, as functions.

Each function makes the specification that its verb makes of a command line, and calls what the verb calls. Arguments
have the names of the options, with _ for -. Mistakes are `UserError`.
"""

import io
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from unlearn_bench import results
from unlearn_bench.comparison.compare import CompareReport
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import MetricValue, Result, Role, Sample

if TYPE_CHECKING:
    import pandas
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import Unpack

    from unlearn_bench.harness.progress import Progress

__all__ = ["CompareReport", "Evaluation", "compare", "evaluate", "load_result", "score"]

Rows: TypeAlias = (
    "str | PathLike[str] | Sequence[str | PathLike[str]] | Iterable[Mapping[str, object]] | pandas.DataFrame"
)
_ROWS_FILE = "rows.jsonl"
_ROWS_NAME = "rows"


class ScoringSettings(TypedDict, total=False):
    """How answers are scored; each is an option of `run` and `score`, and described in their --help."""

    profile: Literal["offline", "standard", "paper"]
    entities: str
    embedder: str
    similarity_threshold: float
    nli: str
    nli_labels: str
    ppl_model: str
    ppl_prompt: str
    embedder_revision: str
    nli_revision: str
    ppl_revision: str
    scorer_device: str
    scorer_dtype: Literal["float32", "bfloat16", "float16"]
    scorer_batch_size: int
    llm_model: str
    llm_base_url: str
    llm_api_key_env: str
    llm_json_mode: Literal["json_schema", "json_object", "none"]
    llm_concurrency: int
    llm_cache: str
    allow_pickle: bool
    trust_remote_code: bool
    kfr_rule: Literal["table", "paper", "released"]
    kfr_threshold: float
    kfr_short_threshold: float
    kfr_short_size: int
    kfr_fluent_threshold: float
    krr_rule: Literal["paper", "released"]
    krr_threshold: float
    matching: Literal["one_to_one", "released"]
    question_words: Literal["symmetric", "released", "keep"]
    empty_reference: Literal["unscored", "forgotten"]
    empty_perplexity: Literal["worst", "drop"] | float
    rouge_stemmer: bool


class RunSettings(ScoringSettings, total=False):
    """How a checkpoint is loaded and asked; each is an option of `run`, and described in its --help.

    Beside them, `model_args` and `generation` are mappings, and `chunks` is a folder that keeps the answers, so that an
    evaluation that was interrupted goes on where it was.
    """

    adapter: str
    revision: str
    backend: Literal["hf", "vllm", "api"]
    model_args: Mapping[str, object]
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    device: str
    allow_partial: bool
    include_path: str
    data_dir: str
    data_revision: str
    forget_split: Literal["forget01", "forget05", "forget10"]
    limit: float
    prompt: str
    thinking: Literal["model", "on", "off"]
    template_date: str
    first_answer: bool
    generation: Mapping[str, object]
    batch_size: int | Literal["auto"]
    seed: int
    fewshot_seed: int
    chunks: Path
    diagnose: tuple[str, ...]
    reference: str
    retain_model: str
    inside: Path
    plots: bool


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A result with its samples. Printed, it is the table that `run` prints.

    Attributes:
        result: All of result.json; see `schema.Result`.
        errors: One line for each row that `score` could not read.
    """

    result: Result
    errors: tuple[str, ...] = ()
    _samples: tuple[Sample, ...] | None = field(default=None)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The scored answers, one for each question, sorted by task and row.

        Raises:
            UserError: if only the result is at hand (a board's entry without kept samples).
        """
        if self._samples is None:
            raise UserError(
                f"the samples of {self.result.model.name} are not there",
                hint="keep samples.jsonl beside result.json; boards keep those that `submit --keep-samples` brings",
            )
        return self._samples

    @property
    def metrics(self) -> dict[str, MetricValue]:
        """Every number by "task/metric", with its interval and its counts."""
        return {f"{t}/{m}": value for t, task in self.result.tasks.items() for m, value in task.metrics.items()}

    def to_dict(self) -> dict[str, object]:
        """result.json as a dictionary."""
        return self.result.model_dump(mode="json")

    def to_frame(self, of: Literal["metrics", "samples"] = "metrics") -> "pandas.DataFrame":
        """A pandas table: a row for each metric of each task, or for each answer.

        Args:
            of: "metrics" has the columns task, metric and the fields of `schema.MetricValue`; "samples" has the
                fields of `schema.Sample`, and a column for each metric with the answer's score.

        Raises:
            UserError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError("to_frame needs pandas", hint="pip install pandas, or use to_dict()") from None
        if of == "metrics":
            named = [(*key.split("/", 1), value) for key, value in self.metrics.items()]
            return pandas.DataFrame([{"task": t, "metric": m, **value.model_dump()} for t, m, value in named])
        rows = [sample.model_dump(exclude={"scores"}) | sample.scores for sample in self.samples]
        return pandas.DataFrame(rows)

    def save(self, folder: Named, *, overwrite: bool = False) -> None:
        """Write result.json and samples.jsonl, as `run --output` does.

        Raises:
            UserError: if the folder holds another result and `overwrite` is false, or there are no samples.
        """
        target = Path(folder)
        if (target / results.RESULT_FILE).exists() and not overwrite:
            old = results.read_result(target)
            if old.fingerprint != self.result.fingerprint:
                raise UserError(f"{target} holds another result, of {old.model.name}", hint="pass overwrite=True")
        with results.writing(target):
            results.write_results(target, self.result, list(self.samples))

    def __repr__(self) -> str:
        from rich.console import Console

        from unlearn_bench.result_table import PIPE_WIDTH, print_table

        text = io.StringIO()
        console = Console(file=text, width=PIPE_WIDTH, highlight=False)
        print_table(self.result, console=console)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).rstrip()


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
        tokenizer: Of a loaded model; for a checkpoint a folder in place of its own.
        name: What the result calls a loaded model.
        progress: Told what happens.
        settings: Options of `run` by their names: limit=8, batch_size=64, profile="standard", nli="rules", …

    Raises:
        UserError: for anything that can be put right: model, data, names of tasks, settings.
    """
    from unlearn_bench.harness.backends import load_in_memory, load_model
    from unlearn_bench.harness.run import RunSpec
    from unlearn_bench.harness.run import evaluate as run
    from unlearn_bench.models.in_memory import borrowed

    own = {f.name for f in fields(RunSpec)} - {"model", "tasks", "tokenizer", "scoring"}
    scoring = _scoring(settings, own)
    given = {key: value for key, value in settings.items() if key in own}
    if isinstance(tasks, str):
        raise UserError(f"tasks={tasks!r}: expected several names", hint=f"pass tasks=[{tasks!r}]")
    if isinstance(model, str | PathLike):
        if name is not None or not isinstance(tokenizer, str | None):
            raise UserError("name and a loaded tokenizer are for a loaded model, and model is a name or a folder")
        spec = RunSpec(model=str(model), tasks=tuple(tasks), tokenizer=tokenizer, scoring=scoring, **given)
        load, lent = load_model, nullcontext()
    else:
        if tokenizer is None or isinstance(tokenizer, str):
            raise UserError("a loaded model needs its loaded tokenizer", hint="pass tokenizer=…")
        spec = RunSpec(model=name or _name_of(model), tasks=tuple(tasks), scoring=scoring, **given)
        load, lent = partial(load_in_memory, model=model, tokenizer=tokenizer), borrowed(model)
    with lent:
        outcome = run(spec, progress, load=load)
    if outcome is None:
        raise UserError("this process only helps another one", hint="use the command under torchrun or accelerate")
    result, samples = outcome
    result.samples_sha256 = results.samples_sha256(samples)
    return Evaluation(result, _samples=tuple(samples))


def _name_of(model: "PreTrainedModel") -> str:
    """The last part of the name it was loaded by, else its class."""
    return Path(getattr(getattr(model, "config", None), "name_or_path", "")).name or type(model).__name__


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
        scoring: Options by their names: profile="standard", kfr_rule="paper", …

    Raises:
        UserError: for files or rows that cannot be read, unknown metrics and settings.
    """
    from unlearn_bench.harness.score import METRICS, ScoreSpec
    from unlearn_bench.harness.score import score as score_files

    with tempfile.TemporaryDirectory() as scratch:
        files = _files(rows, Path(scratch))
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
        )
        in_memory = Path(scratch) in files[0].parents
        try:
            outcome = score_files(spec)
        except UserError as error:
            raise (_about_rows(error, files[0]) if in_memory else error) from None
    errors = [_row_of(error, files[0]) if in_memory else error for error in outcome.errors]
    outcome.result.samples_sha256 = results.samples_sha256(outcome.samples)
    return Evaluation(outcome.result, tuple(errors), tuple(outcome.samples))


def _row_of(text: str, file: Path) -> str:
    """A message about a line of the file that holds the rows in memory, as one about a row."""
    return re.sub(rf"{re.escape(str(file))}:(?=\d)", "row ", text).replace(str(file), "the rows")


def _about_rows(error: UserError, file: Path) -> UserError:
    return UserError(_row_of(error.message, file), hint=error.hint and _row_of(error.hint, file))


def _scoring(settings: Mapping[str, object], others: set[str]) -> dict[str, object]:
    """The settings of profile, parts and scorers; anything that is neither these nor `others` is an error."""
    from unlearn_bench.evidence.pipeline import default_options
    from unlearn_bench.evidence.profiles import SETTINGS

    known = {*SETTINGS, *default_options()}
    for name in settings:
        if name not in known | others:
            raise did_you_mean("setting", name, known | others)
    return {"profile": "offline", **{key: value for key, value in settings.items() if key in known}}


def _files(rows: Rows, scratch: Path) -> tuple[Path, ...]:
    """The files of rows; rows in memory are written as one, and so are read and hashed as any other."""
    if isinstance(rows, str | PathLike):
        return (Path(rows),)
    if hasattr(rows, "to_json") and hasattr(rows, "columns"):  # a DataFrame, without importing pandas
        text = rows.to_json(orient="records", lines=True, force_ascii=False)
        found = text.splitlines()
    else:
        listed = list(rows)
        if listed and all(isinstance(row, str | PathLike) for row in listed):
            return tuple(Path(row) for row in listed)
        found = [_line(row, number) for number, row in enumerate(listed, start=1)]
    if not found:
        raise UserError("there are no rows", hint="expected rows with question, reference and response")
    path = scratch / _ROWS_FILE
    path.write_text("\n".join(found) + "\n", encoding="utf-8", errors="surrogateescape")
    return (path,)


def _line(row: object, number: int) -> str:
    if not isinstance(row, Mapping):
        raise UserError(f"row {number}: expected a dictionary, got {type(row).__name__}")
    try:
        return json.dumps(dict(row), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"row {number}: {error}", hint="values should be text, numbers or lists") from None


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
    """Read a result.json or its folder, with the samples beside it, or an entry of a leaderboard (BOARD.json#NAME).

    Raises:
        UserError: if it cannot be read, or the samples are not this result's.
    """
    from unlearn_bench.boards.lookup import load

    found = load(str(path))
    return Evaluation(found.result, _samples=None if found.samples is None else tuple(found.samples))
