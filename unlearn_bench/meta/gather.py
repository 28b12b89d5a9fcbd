"""From what a command line names to the models of a pool: results are read, logs scored, checkpoints run.

    DIR/result.json                    a result; DIR/relearning/, DIR/quantization/: the same under stress
    DIR with several of these          a pool: each folder in it is a model
    a checkpoint                       is run on the tasks, and under stress where that is asked for
    any other file                     a log that `unlearn-bench score` reads

What is made lies under the output folder, and is read from there when the same command is started again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unlearn_bench.comparison.follows import followed
from unlearn_bench.comparison.loaded import LoadedResult, from_file
from unlearn_bench.errors import UserError
from unlearn_bench.harness.oracle import is_result
from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec, run_settings
from unlearn_bench.hashing import sha256_json
from unlearn_bench.meta.pool import (
    QUANTIZATION,
    RELEARNING,
    SIDES,
    Member,
    Side,
    member,
    require_sizes,
    under_stress,
)
from unlearn_bench.results import RESULT_FILE, read_result, write_results
from unlearn_bench.untrusted.strings import shown

if TYPE_CHECKING:
    from unlearn_bench.harness.backends import JudgedModel

VARIANTS: Mapping[str, str] = {RELEARNING: "published", QUANTIZATION: "nf4"}  # of the stresses that are made
MADE = "models"
Kind = Literal["result", "log", "checkpoint"]


@dataclass(frozen=True)
class PoolSpec:
    """What `unlearn-bench meta` was asked to read and make.

    Attributes:
        sides: Side to what the command line names.
        run: How checkpoints are asked and scored; its model is replaced by each in turn.
        stress: Names of `pool.STRESSES` that checkpoints are put under.
        folder: Where results that are made are kept.
    """

    sides: Mapping[Side, Sequence[str]]
    run: RunSpec = field(default_factory=RunSpec)
    stress: Sequence[str] = ()
    folder: Path | None = None


def gather(spec: PoolSpec, progress: Progress | None = None) -> list[Member]:
    """The models of all sides.

    Raises:
        UserError: for a name that is nothing, an empty folder, a result or log that cannot be read, or checkpoints
            without a folder to keep their results.
    """
    if len(spec.sides.get("oracle", ())) > 1:
        raise UserError("--oracle: one model, several were given")
    for side, names in spec.sides.items():
        if side in ("positive", "negative") and len(names) == 1 and not Path(names[0]).expanduser().exists():
            raise UserError(
                f"--{side} {shown(names[0])}: no such folder", hint="name a folder of models, or the models"
            )
    named = {side: [one for text in spec.sides.get(side, ()) for one in expanded(text)] for side in SIDES}
    require_sizes({side: len(names) for side, names in named.items()})
    oracle = next(iter(named["oracle"]), None)
    members = []
    for side, names in named.items():
        for name in names:
            loaded, stressed = _loaded(name, spec, oracle, progress or Progress())
            members.append(member(side, loaded, stressed))
    return _distinct(members)


def kinds(sides: Mapping[Side, Sequence[str]]) -> set[Kind]:
    """What is named: results, logs, checkpoints.

    Args:
        sides: Side to what the command line names.

    Raises:
        UserError: for an empty folder.
    """
    return {_kind(name) for names in sides.values() for text in names for name in expanded(text)}


def _kind(name: str) -> Kind:
    path = Path(name).expanduser()
    if is_result(path):
        return "result"
    return "log" if path.is_file() and path.suffix != ".gguf" else "checkpoint"


def expanded(text: str) -> list[str]:
    """What a name stands for: itself, or the models of a folder that holds several.

    Raises:
        UserError: for a folder without a model.
    """
    path = Path(text).expanduser()
    if not path.is_dir() or is_result(path) or _is_checkpoint(path):
        return [text]
    inside = [child for child in sorted(path.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    found = [str(child) for child in inside if is_result(child) or _is_checkpoint(child)]
    if not found:
        raise UserError(
            f"{shown(text)} is a folder without a model",
            hint="expected a checkpoint, a result.json, or folders that hold one each",
        )
    return found


def _is_checkpoint(path: Path) -> bool:
    return any((path / name).is_file() for name in ("config.json", "adapter_config.json"))


def _loaded(
    name: str, spec: PoolSpec, oracle: str | None, progress: Progress
) -> tuple[LoadedResult, dict[str, LoadedResult]]:
    """A model's result, and those under stress."""
    path, kind = Path(name).expanduser(), _kind(name)
    if kind == "result":
        folder = path if path.is_dir() else path.parent
        return replace(followed(path), name=folder.name), under_stress(folder)
    if kind == "log":
        return _scored(path, spec.run), {}
    return _made(name, spec, oracle, progress)


def _scored(path: Path, run: RunSpec) -> LoadedResult:
    """A log, scored as `unlearn-bench score` does with its default metrics and all that likelihoods give."""
    from unlearn_bench.harness.score import ScoreSpec, score

    settings = {"scoring": run.scoring, "first_answer": run.prompts.first_answer}
    outcome = score(ScoreSpec(files=(path,), strict=True, **settings))
    return LoadedResult(path.parent.name + "/" + path.name, outcome.result, held=outcome.samples)


def _made(
    name: str, spec: PoolSpec, oracle: str | None, progress: Progress
) -> tuple[LoadedResult, dict[str, LoadedResult]]:
    """A checkpoint's results: those that lie in the folder, else made now."""
    from unlearn_bench.harness.backends import load_model
    from unlearn_bench.models import subject

    subject.find(name)
    if spec.folder is None:
        raise UserError(f"{shown(name)} is a checkpoint: its results need a folder", hint="pass --output DIR")
    run = replace(spec.run, model=name)
    if oracle is not None and oracle != name:
        run = replace(run, diagnosis=DiagnosisSettings(oracle=_oracle_result(oracle, spec, progress)))
    folder = spec.folder / MADE / _folder_name(name)
    made: dict[str, LoadedResult] = {}
    loaded = cache(partial(load_model, run))  # when it is first asked for, and then kept
    for stress in ("", *spec.stress):
        target = folder / stress
        if not _finished(target, run):
            progress.stage(f"{Path(name).name} {stress}".strip())
            _evaluate(loaded, run, stress, target, progress)
        made[stress] = replace(from_file(target), name=Path(name).name)
    return made.pop(""), made


def _oracle_result(oracle: str, spec: PoolSpec, progress: Progress) -> str:
    """Where the oracle's answers lie, for the numbers that need one."""
    if is_result(Path(oracle).expanduser()):
        return oracle
    _made(oracle, spec, None, progress)
    return str((spec.folder or Path()) / MADE / _folder_name(oracle))


def _folder_name(name: str) -> str:
    """The checkpoint's own name, and a hash of where it lies: two of a name are two."""
    path = Path(name).expanduser()
    where = str(path.resolve()) if path.exists() else name
    return f"{path.name}-{sha256_json(where)[:8]}"


def _finished(folder: Path, run: RunSpec) -> bool:
    """Whether a result of the same checkpoint and settings lies there."""
    from unlearn_bench.models import subject
    from unlearn_bench.models.identity import describe_files

    if not (folder / RESULT_FILE).is_file():
        return False
    old = read_result(folder)
    info = describe_files(subject.find(run.model), dtype=run.dtype)
    asked = run_settings(replace(run, diagnosis=DiagnosisSettings()))
    return old.model.weights_sha256 == info.weights_sha256 and all(old.run.get(key) == asked[key] for key in asked)


def _evaluate(load: "Callable[[], JudgedModel]", run: RunSpec, stress: str, target: Path, progress: Progress) -> None:
    """Run the tasks, under a stress where one is named, and write the result."""
    from unlearn_bench.harness.run import evaluate

    for model in _under(load, run, stress):
        outcome = evaluate(run, progress, load=lambda asked, model=model: model if asked.model == run.model else None)
        if outcome is None:
            raise UserError("meta runs in one process", hint="start it without torchrun or accelerate")
        write_results(target, *outcome)


def _under(load: "Callable[[], JudgedModel]", run: RunSpec, stress: str) -> "Iterator[JudgedModel]":
    """The model, changed by the stress while it is asked."""
    import tempfile

    from unlearn_bench.harness.plan import make_plan
    from unlearn_bench.harness.stress_sitting import find, subject_of, with_model
    from unlearn_bench.stress.panel import exams

    model = load()
    if not stress:
        yield model
        return
    (exam,) = exams([f"{stress}/{VARIANTS[stress]}"])
    plan = make_plan(run.tasks, data=run.data, scoring=run.scoring, limit=run.limit, include_path=run.include_path)
    with tempfile.TemporaryDirectory() as scratch:
        changed = subject_of(model, run, plan, Path(scratch), find(run))
        with exam.stress.apply(exam.variant, changed) as other:
            info = model.info.model_copy(update={"name": f"{model.info.name} ({exam.name})"})
            yield replace(with_model(model, other, run), info=info)


def _distinct(members: Sequence[Member]) -> list[Member]:
    """The same models, numbered where they share a name."""
    names = [one.name for one in members]
    seen: dict[str, int] = {}
    found = []
    for one in members:
        seen[one.name] = seen.get(one.name, 0) + 1
        alone = names.count(one.name) == 1
        found.append(one if alone else replace(one, name=f"{one.name} ({seen[one.name]})"))
    return found
