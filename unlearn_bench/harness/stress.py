"""Tasks asked again under stress, of the checkpoint, of the oracle and of the original.

    plan -> for each checkpoint: answers without a stress, then under each exam -> rows of the table

Each exam's answers are kept with their scores (DIR/exams/WHO/EXAM.json) under a key of all that may move them, and a
finished exam is not done again. Scoring is the tasks' own; a stress never scores.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from unlearn_bench import results
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import pipeline, profiles
from unlearn_bench.harness.definitions import RUN
from unlearn_bench.harness.plan import Plan, make_plan
from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.spec import MACHINE, StressSpec, run_settings
from unlearn_bench.harness.stress_room import Room, do_all, folder_of, jobs_of
from unlearn_bench.harness.stress_sitting import UNSTRESSED, ExamRecord, find, role_of
from unlearn_bench.harness.stress_table import Answers, metric_of, rows_of
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models import subject
from unlearn_bench.results import StressReport
from unlearn_bench.schema import ModelInfo, Result, ScorerInfo, StressInfo
from unlearn_bench.scorers import SCORERS
from unlearn_bench.stress.panel import Exam, exams
from unlearn_bench.tokens import TEMPLATE_STYLES

_FLOATS = (None, "F32", "F16", "BF16")  # types of GGUF files that are not quantized


def stress(spec: StressSpec, progress: Progress | None = None) -> StressReport:
    """Put a checkpoint, its oracle and its original under stress.

    Raises:
        UserError: for anything the user can put right: models, tasks, names of stresses or metrics, settings.
    """
    records: dict[str, dict[str, ExamRecord]] = {who: {} for who in spec.checkpoints()}
    models: dict[str, ModelInfo] = {}
    with _folder(spec.folder) as folder:
        room = room_for(spec, folder, progress or Progress())
        for done in do_all(room, jobs_of(spec, room.plan, room.chosen, room.sources)):
            records[done.task.who] |= done.records
            models[done.task.who] = done.info
        for who in records:
            shutil.rmtree(folder_of(spec, who, folder) / ".answers", ignore_errors=True)
    return _report(spec, room.plan, room.chosen, {who: models[who] for who in records}, records)


def room_for(spec: StressSpec, folder: Path, progress: Progress | None = None) -> Room:
    """Everything that the exams need, checked; no checkpoint is loaded yet."""
    chosen, plan, sources = _found(spec)
    plan.require_parts()
    return Room(spec, plan, chosen, sources, folder, progress or Progress())


def add_to(result: Result, spec: StressSpec, progress: Progress | None = None) -> None:
    """Put the checkpoint of a run under stress, and what is found into its result."""
    result.stress = stress(spec, progress).stress


def check(spec: StressSpec) -> None:
    """Refuse what could not be put under stress, before anything is loaded.

    Raises:
        UserError: for an unknown stress, a checkpoint that is not there, or tasks that ask no forget questions.
    """
    _found(spec)


def _found(spec: StressSpec) -> tuple[list[Exam], Plan, dict[str, subject.Source]]:
    """The exams, what is asked, and where each checkpoint lies."""
    chosen, plan = exams(spec.panel), stress_plan(spec)
    sources = {who: find(run) for who, run in spec.checkpoints().items()}
    _refuse_quantized(sources, chosen)
    return chosen, plan, sources


def stress_plan(spec: StressSpec) -> Plan:
    """What is asked: the tasks' question sets, with the scorers of the wanted metrics only.

    Raises:
        UserError: for stock tasks, no forget questions, or a metric that no task of the run has.
    """
    run = spec.run
    plan = make_plan(
        run.tasks,
        data=run.data,
        scoring=run.scoring,
        generation=run.generation,
        limit=run.limit,
        include_path=run.include_path,
    )
    for name in plan.stock.tasks if plan.stock else ():
        raise UserError(f"task {name}: stress asks this project's own tasks", hint="leave it out")
    wanted = set(pipeline.resolve(metric_of(name).name for name in spec.metrics))
    sets = {}
    for name, asked in plan.question_sets.items():
        taken = tuple(s for s in asked.scorers if s in wanted and _applies(s, asked.rows[0].role))
        if taken:
            probes = frozenset(probe for scorer in taken for probe in SCORERS.get(scorer).probes)
            sets[name] = replace(asked, scorers=taken, probes=probes)
    if not any(role_of(asked) == "forget" for asked in sets.values()):
        raise UserError(
            f"no task of {', '.join(run.tasks)} asks forget questions with {', '.join(spec.metrics)}",
            hint="add one, for example --tasks nano_forget",
        )
    tasks = {name: task for name, task in plan.tasks.items() if name in sets and task.samples_of != RUN}
    return Plan(sets, tasks, {name: (name,) for name in tasks})


def _applies(scorer: str, role: str) -> bool:
    roles = SCORERS.get(scorer).roles
    return not roles or role in roles


def _refuse_quantized(sources: Mapping[str, subject.Source], chosen: Sequence[Exam]) -> None:
    """A quantized checkpoint cannot show what quantization brings back; one with an adapter has float weights again."""
    if not any(exam.stress_name == "quantization" for exam in chosen):
        return
    source = sources["model"]
    how = source.unpacked.quantization if source.unpacked and source.adapter is None else None
    if how in _FLOATS and not subject.is_quantized(source):
        return
    raise UserError(
        f"model {source.name} is quantized already{f' ({how})' if how else ''}: the exam is about its float weights",
        hint="give the checkpoint before quantization, or a --panel without quantization",
    )


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def _report(
    spec: StressSpec,
    plan: Plan,
    chosen: Sequence[Exam],
    models: Mapping[str, ModelInfo],
    records: Mapping[str, Mapping[str, ExamRecord]],
) -> StressReport:
    names = [UNSTRESSED, *(exam.name for exam in chosen)]
    answers = {
        name: Answers({who: own[name].samples for who, own in records.items() if not own[name].skipped})
        for name in names
    }
    skipped = {name: why for name in names if (why := records["model"][name].skipped)}
    done = [exam for exam in chosen if exam.name not in skipped]
    rows, facts = rows_of(done, answers, spec.metrics, spec.margin, unstressed=UNSTRESSED)
    info = StressInfo(
        versions={exam.stress_name: exam.stress.version for exam in chosen},
        settings={exam.stress_name: dict(exam.stress.settings) for exam in chosen if exam.stress.settings},
        models=dict(models),
        margin=spec.margin,
        rows=rows,
        skipped=skipped,
        facts={
            name: found
            for name in dict.fromkeys([*names, *facts])
            if (found := {**(records["model"][name].facts if name in names else {}), **facts.get(name, {})})
        },
        timing={name: {who: own[name].seconds for who, own in records.items()} for name in names},
        notes=_notes(spec),
    )
    settings = settings_of(spec)
    scorers: dict[str, ScorerInfo] = {
        name: profiles.scorer_info(one.parts(), one.scorers, one.task.scoring.options)
        for name, one in plan.question_sets.items()
    }
    identity = {"models": info.models, "versions": info.versions, "run": settings, "scorers": scorers}
    return StressReport(
        harness=results.harness_info(),
        run=settings,
        scorers=scorers,
        stress=info,
        fingerprint=sha256_json({**identity, "settings": info.settings}),
    )


def refuse_other(path: Path, spec: StressSpec) -> None:
    """A table of other models or settings is not replaced by accident.

    Raises:
        UserError: with what is different.
    """
    if not path.exists():
        return
    old, new = results.read_stress(path), settings_of(spec)
    changed = [key for key in sorted({*old.run} & {*new}) if old.run[key] != new[key] and key not in MACHINE]
    if changed:
        raise UserError(
            f"{path} was made with another {', '.join(changed)}", hint="choose another --output, or pass --overwrite"
        )


def settings_of(spec: StressSpec) -> dict[str, str | int | float | bool | list[str] | None]:
    """The settings as given, without paths of this machine."""
    return {
        **run_settings(spec.run),
        **{who: Path(run.model).name for who, run in spec.checkpoints().items()},
        "panel": list(spec.panel),
        "metrics": list(spec.metrics),
        "margin": spec.margin,
    }


def _notes(spec: StressSpec) -> list[str]:
    notes = []
    if spec.oracle is None:
        notes.append("no control: without --oracle nobody knows what the stress alone brings up")
    if spec.original is None:
        notes.append("without --original there is no recovery: the excess is a share of all questions")
    if spec.run.limit is not None:
        notes.append(f"only the first questions of each task were asked (--limit {spec.run.limit:g})")
    if spec.run.prompts.prompt not in TEMPLATE_STYLES:
        notes.append(f"asked without a chat template (--prompt {spec.run.prompts.prompt})")
    return notes
