"""Generations made elsewhere: files go in, a result and its samples come out. The scorers are those of `run`.

files -> formats (responses) -> the answer in each (answer) -> scorers -> Result
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from unlearn_bench import formats, redact
from unlearn_bench.calibration.correct import correct
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.gather import GIVEN
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.formats import Readings
from unlearn_bench.harness.judged import tell_judges
from unlearn_bench.harness.oracle import Oracle, oracle_told, read_oracle, require_same_texts
from unlearn_bench.harness.progress import timed
from unlearn_bench.harness.score_plan import METRICS, plan_tasks
from unlearn_bench.harness.spec import Scoring
from unlearn_bench.harness.summary import reads_likelihoods, summary_task
from unlearn_bench.harness.token_counts import TokenCounter
from unlearn_bench.hashing import sha256_file, sha256_json
from unlearn_bench.results import (
    RESULT_FILE,
    build_task_result,
    harness_info,
    missing_notes,
    result_fingerprint,
    samples_sha256,
)
from unlearn_bench.results.place import set_places
from unlearn_bench.schema import DatasetInfo, ModelInfo, Response, Result, Role, Row, Sample, ScorerInfo, TaskResult
from unlearn_bench.scorers.base import Parts
from unlearn_bench.summaries import NAME
from unlearn_bench.tasks_index import read_tasks
from unlearn_bench.text import answer

TASK_VERSION = "1"  # of the way files become tasks; raise it when numbers change


@dataclass(frozen=True)
class ScoreSpec:
    """What `unlearn-bench score` was asked to do; field by field its options.

    Attributes:
        files: The files, read in this order.
        metrics: Names of metrics or scorers, `DEFAULT` among them for those that are computed unasked; each is computed
            on the roles where it means something.
        original, oracle: Of the model before unlearning, and of one that never saw the forget set: a result, its
            folder, or a file of its generations in the same format.
        format: A name in `formats`, or "auto".
        role: For files that do not say; of the others, only this role is read.
        mapping: Field to the key that holds it, for rows with keys of their own (`formats.read`).
        scoring: As in `spec.RunSpec`.
        strict: Refuse malformed rows, instead of scoring the others.
        tokenizer: Folder of the model's tokenizer, for logs that leave out how many tokens a likelihood is of.
    """

    files: tuple[Path, ...]
    metrics: tuple[str, ...] = METRICS
    format: str = "auto"
    role: Role | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    scoring: Scoring = field(default_factory=Scoring)
    first_answer: bool = True
    strict: bool = False
    model_name: str | None = None
    tokenizer: Path | None = None
    original: Path | Oracle | None = None
    oracle: Path | Oracle | None = None


@dataclass(frozen=True)
class Outcome:
    """A result, its samples, and one line for each row that could not be read."""

    result: Result
    samples: list[Sample]
    errors: list[str]


def score(spec: ScoreSpec, accept: Callable[[], None] = lambda: None) -> Outcome:
    """Score files of generations.

    Args:
        spec: What to score.
        accept: Called when the files are read and before anything is scored; may raise.

    Raises:
        UserError: for a file that cannot be read, a row that is malformed if `strict`, files without a readable row,
            unknown metrics or settings, and metrics that mean nothing on the files' roles.
    """
    timing: dict[str, float] = {}
    with timed(timing, "read"):
        counter = None if spec.tokenizer is None else TokenCounter(spec.tokenizer)
        readings = read_files(spec, counter)
        responses = [_cut(r, spec.first_answer) for reading in readings for r in reading.responses]
    accept()
    plan = plan_tasks(responses, spec.metrics, spec.scoring.parts) if responses else {}
    scorers = _names(plan)
    parts, options = spec.scoring.made_for(_judged_dataset(responses)), spec.scoring.options
    profiles.require(parts, scorers)
    with timed(timing, "score"):
        samples = score_responses([r for r in responses if r.task in plan], scorers, parts, options)
        original, oracle = (_other(spec, named) for named in (spec.original, spec.oracle))
    for other in filter(None, (original, oracle)):
        require_same_texts(other, samples)
    with timed(timing, "aggregate"):
        tasks = {
            task: _task_result(
                [sample for sample in samples if sample.task == task],
                names,
                profiles.scorer_info(parts, names, options),
                options,
                _dataset(task, readings, spec.files),
                cut=spec.first_answer and not any(r.given for r in responses if r.task == task),
            )
            for task, names in plan.items()
        }
        if reads_likelihoods(scorers):
            datasets = {name: task.dataset for name, task in tasks.items()}
            tasks[NAME] = summary_task(datasets, samples, parts, options, prompt=None, oracle=oracle)
    model = ModelInfo(
        name=model_name(spec),
        source="generations made elsewhere",
        tokenizer_sha256=None if counter is None else counter.sha256,
    )
    run = run_settings(spec)
    errors = [error for reading in readings for error in reading.errors]
    result = Result(
        model=model,
        harness=harness_info(),
        run=run,
        tasks=tasks,
        other={name: numbers for reading in readings for name, numbers in reading.reported.items()},
        notes=[*_notes(readings, responses, plan, parts, errors), *missing_notes(samples)],
        fingerprint=result_fingerprint(model, tasks, run),
        timing={stage: round(seconds, 3) for stage, seconds in timing.items()},
    )
    correct(result, samples)
    tell_judges(result, samples, {task: parts for task in plan})
    if original is not None and oracle is not None:
        result.notes += set_places(result, original.result, oracle.result)
    return Outcome(result, samples, errors)


def _other(spec: ScoreSpec, path: Path | Oracle | None) -> Oracle | None:
    """The answers of original or oracle: of a result as they are, of a log scored as the model's."""
    if not isinstance(path, Path):
        return path
    if path.is_dir() or path.name == RESULT_FILE:
        return read_oracle(path)
    found = score(replace(spec, files=(path,), model_name=None, original=None, oracle=None))
    return Oracle(found.result.model.name, samples_sha256(found.samples), found.samples, found.result)


def read_files(spec: ScoreSpec, counter: TokenCounter | None = None) -> list[Readings]:
    """Read every file; see `score` for what is refused."""
    if len(set(map(Path.resolve, spec.files))) < len(spec.files):
        raise UserError("a file is named twice", hint="its answers would count twice")
    readings = [
        formats.read(path, form=spec.format, role=spec.role, mapping=spec.mapping, count=counter) for path in spec.files
    ]
    if counter is not None and not counter.texts:
        raise UserError("--tokenizer: no file holds log-likelihoods of single texts", hint="leave it out")
    errors = [error for reading in readings for error in reading.errors]
    if errors and spec.strict:
        raise UserError(f"{malformed(errors)}\n  {summary(errors)}", hint="without --strict, the others are scored")
    if not any(reading.responses or reading.reported for reading in readings):
        raise UserError("no row could be read\n  " + summary(errors))
    counts = Counter((r.task, r.id) for reading in readings for r in reading.responses)
    (task, identity), most = counts.most_common(1)[0] if counts else (("", ""), 0)
    if most > 1:
        raise UserError(
            f"two files hold task {task}, and both have the row {identity!r}",
            hint="score the files of two models one by one",
        )
    return readings


def malformed(errors: Sequence[str]) -> str:
    """How many rows are malformed.

    >>> malformed(["a.jsonl:3: not UTF-8"])
    '1 malformed row'
    """
    return f"{len(errors)} malformed row{'s' if len(errors) != 1 else ''}"


def summary(errors: Sequence[str], *, most: int = 8) -> str:
    """The first errors, a line each, and how many more there are."""
    more = [f"... and {len(errors) - most} more"] if len(errors) > most else []
    return "\n  ".join([*errors[:most], *more])


def _cut(response: Response, first_only: bool) -> Response:
    """Find the answer in a generation; if evidence came along it stays whole, for that is what was judged."""
    if not first_only:
        return response
    if response.given is None:
        return answer.apply(response)
    return response.model_copy(update={"response": response.response.strip()})


def _task_result(
    samples: Sequence[Sample],
    scorers: Sequence[str],
    scorer: ScorerInfo,
    options: Mapping[str, object],
    dataset: tuple[str, str],
    *,
    cut: bool,
) -> TaskResult:
    rows = [
        Row(id=s.id, role=s.role, question=s.question, answer=s.reference or "", cluster=s.cluster) for s in samples
    ]
    name, source = dataset
    role = samples[0].role
    info = DatasetInfo(name=name, split=role, revision=None, sha256=sha256_json(rows), source=source)
    metrics = aggregate(samples, scorers, options)
    made = _with_logged(scorer, samples)
    return build_task_result(TASK_VERSION, info, None, {"first_answer": cut}, made, samples, metrics, role=role)


def _with_logged(scorer: ScorerInfo, samples: Sequence[Sample]) -> ScorerInfo:
    """The scorer's information, where numbers were taken from a log: they are not comparable with computed ones."""
    logged = {name for sample in samples for name in sample.logged or ()} & scorer.metrics.keys()
    if not logged:
        return scorer
    metrics = {name: sha256_json({"log": made}) if name in logged else made for name, made in scorer.metrics.items()}
    parts = {**scorer.parts, "logged": ", ".join(sorted(logged))}
    return scorer.model_copy(update={"metrics": metrics, "parts": parts, "fingerprint": sha256_json(metrics)})


def _judged_dataset(responses: Sequence[Response]) -> str:
    """Whose text the answers are: nano's where all tasks are, else another's; see `profiles.offline_judge`."""
    known = {task["task"]: str(task["metadata"]["dataset"]) for task in read_tasks()}
    return min({known.get(r.task, r.task) for r in responses} - {profiles.NANO}, default=profiles.NANO)


def _dataset(task: str, readings: Sequence[Readings], files: Sequence[Path]) -> tuple[str, str]:
    """Name and source of a task's rows."""
    pairs = [(r, f) for r, f in zip(readings, files, strict=True) if any(x.task == task for x in r.responses)]
    return pairs[0][0].dataset, "file:" + "+".join(file.name for _, file in pairs)


def model_name(spec: ScoreSpec) -> str:
    """What the result calls the model: as asked, else the first file's name.

    Raises:
        UserError: if it has the form of a secret.
    """
    name = spec.model_name or spec.files[0].stem
    if redact.looks_secret(name):
        raise UserError("the model's name looks like a password or a key", hint="name it with --model-name")
    return name


def run_settings(spec: ScoreSpec) -> dict[str, str | bool | list[str] | None]:
    """The settings as given, without paths of this machine; a file is named with the hash of its bytes."""
    return {
        "verb": "score",
        "files": [f"{path.name} sha256:{sha256_file(path)}" for path in spec.files],
        "metrics": list(spec.metrics),
        "format": spec.format,
        "role": spec.role,
        "first_answer": spec.first_answer,
        "scoring": spec.scoring.told(),
        **{
            which: oracle_told(named)
            for which, named in (("original", spec.original), ("oracle", spec.oracle))
            if named is not None
        },
        **({} if spec.tokenizer is None else {"tokenizer": spec.tokenizer.name}),
        **({"map": [f"{field}={key}" for field, key in sorted(spec.mapping.items())]} if spec.mapping else {}),
    }


def _notes(
    readings: Sequence[Readings],
    responses: Sequence[Response],
    plan: Mapping[str, Sequence[str]],
    parts: Parts,
    errors: Sequence[str],
) -> list[str]:
    notes = [note for reading in readings for note in reading.notes]
    if errors:
        notes.append(f"{malformed(errors)} left out")
    left = sorted({response.task for response in responses} - set(plan))
    if left:
        notes.append(f"not scored, as none of the metrics means anything there: {', '.join(left)}")
    names = {getattr(part, "name", None) for part in profiles.needed(parts, _names(plan)).values()}
    brought = {key for r in responses if r.given for key, v in r.given.model_dump().items() if v is not None}
    if GIVEN not in names and brought - {"agreement"}:
        notes.append("the file's own entities, NLI labels and perplexities were not used; --given uses them")
    if "agreement" in brought and getattr(parts.agreement, "name", None) != GIVEN:
        notes.append("the file's own agreement was not used; --agreement given uses it")
    return notes


def _names(plan: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in plan.values() for name in names))
