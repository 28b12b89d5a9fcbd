"""One row with one seed: make its data, train it, score it, keep the scores.

A cell's folder holds result.json and samples.jsonl as `run` writes them, training.json and trajectory.jsonl as `train`
writes them, and cell.json, which is written last: a folder with it is finished, one without it is done again.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.reproduce import anchors
from unlearn_bench.reproduce.plan import Cell
from unlearn_bench.reproduce.record import CELL_FILE, KEPT, of_result, read_record, refuse_loss, refuse_other_table
from unlearn_bench.reproduce.second_judge import judge_of, judged
from unlearn_bench.reproduce.study import Study

EXAMS = ".exams"


@dataclass(frozen=True)
class Settings:
    """What is the same for all cells.

    Attributes:
        limit: Score only the first questions of each task; for trials.
        max_steps: End training early; for trials.
        stress: Panels and stresses that the checkpoint is put under; empty: none.
        diagnose: Diagnostics that look inside it; empty: none.
        again: Whether the study's second judge reads the answers.
        keep: Folder for the checkpoints; None throws them away.
    """

    limit: int | None = None
    max_steps: int | None = None
    stress: tuple[str, ...] = ()
    diagnose: tuple[str, ...] = ()
    again: bool = True
    keep: Path | None = None

    def of(self, cell: Cell) -> "Settings":
        """What of them holds for a cell: only a row's first seed is examined beyond its answers."""
        return self if cell.first else replace(self, stress=(), diagnose=(), again=False)

    def identity(self, study: Study) -> dict[str, object]:
        """What changes the scores."""
        judge = judge_of(study) if self.again else None
        return {
            **self._asked(study.tasks),
            **({"stressed": study.stressed.told()} if self.stress else {}),
            **({"diagnose": list(self.diagnose), "looked_at": study.looked_at.told()} if self.diagnose else {}),
            **({"anchors": study.anchors} if study.anchored else {}),
            **({"second_judge": judge, "judged_again": study.judged_again.told()} if judge else {}),
        }

    def told(self, study: Study) -> list[dict[str, object]]:
        """What a finished cell may say of itself: `identity`, and `earlier` where there is one."""
        return [self.identity(study), *([self.earlier(study)] if study.aliases else [])]

    def earlier(self, study: Study) -> dict[str, object]:
        """The same as version 0.1 told it of a study that has other tasks since."""
        return self._asked(tuple(study.aliases))

    def _asked(self, tasks: tuple[str, ...]) -> dict[str, object]:
        told = {"limit": self.limit, "max_steps": self.max_steps, "tasks": list(tasks)}
        return {**told, "stress": list(self.stress)} if self.stress else told


def finished(cell: Cell, output: Path, settings: Settings) -> dict[str, object] | None:
    """What is known of a cell, if it is done and was made with the same settings and hyper-parameters.

    Returns:
        What cell.json says; `places`, metric to its place between original and oracle; `excess`, stress, task and
        metric ("quantization/nf4/nano_forget/kfr") to the recovery above the oracle's; and `inside`, what diagnostics
        saw, by name.
    """
    folder, settings, study = output / cell.name, settings.of(cell), cell.study
    record = read_record(folder)
    if record is None or record["identity"] not in {cell.identity(one) for one in settings.told(study)}:
        return None
    if record["identity"] == cell.identity(settings.identity(study)):
        more = of_result(folder, record["metrics"])
    else:  # of version 0.1, whose results had other tasks
        more = {"places": {}, "excess": {}, "inside": {}}
    own = {"row": cell.row.name, "group": cell.row.group, "method": cell.row.method, "seed": cell.seed}
    metrics = {_question_set(study, key): value for key, value in record["metrics"].items()}
    return {**record, **own, "minutes": {"training": None, **record["minutes"]}, "metrics": metrics, **more}


def _question_set(study: Study, key: str) -> str:
    """A metric by its question set; up to version 0.1 it was "nano_kfr.kfr"."""
    task, metric = (key if "/" in key else key.replace(".", "/", 1)).split("/", 1)
    return f"{study.aliases.get(task, task)}/{metric}"


def refuse_other(work: Sequence[Cell], output: Path, settings: Settings) -> None:
    """Let no trial, and no other table, replace what is finished in a folder.

    Raises:
        UserError: if a cell there was asked other tasks, or made with another --limit, --max-steps, --stress or
            --diagnose; or if there is the table of another command.
    """
    for cell in work:
        made = (read_record(output / cell.name) or {}).get("settings")
        if made is not None and made not in settings.of(cell).told(cell.study):
            raise UserError(
                f"--output {output}: {cell.name} there was made with other settings (tasks, --limit, --max-steps, "
                "--stress or --diagnose)",
                hint="choose another --output",
            )
    plain = replace(settings, stress=()).told(work[0].study)
    asked = [{key: one[key] for key in ("limit", "max_steps", "tasks")} for one in plain]
    refuse_other_table(output, {cell.name for cell in work}, asked)


def refuse_lost(left: Sequence[Cell], output: Path, settings: Settings) -> None:
    """Make sure, before anything is trained, that cells can be stored, and that nothing else is lost by it.

    Raises:
        UserError: for a link, a file or foreign files in the place of a cell or of its checkpoint.
    """
    trained = {c.name: {"method": c.row.method, "seed": c.seed} if c.row.method else {} for c in left}
    refuse_loss(output, settings.keep, trained)


def run(cell: Cell, output: Path, settings: Settings) -> dict[str, object]:
    """Train and score one cell in a temporary folder, and keep its results.

    Returns:
        As `finished`.

    Raises:
        UserError: if the data or the settings are wrong, or the disk is full.
    """
    output.mkdir(parents=True, exist_ok=True)
    settings = settings.of(cell)
    with tempfile.TemporaryDirectory(dir=output, prefix=".work-") as name:
        work = Path(name)
        started, processor = time.monotonic(), time.process_time()
        model, trained = checkpoint(cell, work, settings)
        minutes = {"training": (time.monotonic() - started) / 60}
        metrics = _score(cell, model, work / "results", output, settings)
        minutes |= {
            "all": (time.monotonic() - started) / 60,
            "processor": (time.process_time() - processor) / 60,
        }
        record = {
            "row": cell.row.name,
            "group": cell.row.group,
            "method": cell.row.method,
            "seed": cell.seed,
            "identity": cell.identity(settings.identity(cell.study)),
            "settings": settings.identity(cell.study),
            "minutes": minutes,
            "training": trained,
            "metrics": metrics,
        }
        _keep(cell, work, model, output, settings)
        write_atomically(output / cell.name / CELL_FILE, [json.dumps(record, indent=2, ensure_ascii=False) + "\n"])
    return {**record, **of_result(output / cell.name, metrics)}


def checkpoint(cell: Cell, work: Path, settings: Settings) -> tuple[str, dict[str, object]]:
    """Make the checkpoint to be scored.

    Args:
        cell: Row and seed.
        work: An empty folder.
        settings: See `Settings`.

    Returns:
        A name or a folder in `work`, and what is to be said about its training. What was trained is stored as the
        package stores its own (`Study.store`).

    Raises:
        UserError: if the data or the settings are wrong, or the disk is full.
    """
    row, study, folder = cell.row, cell.study, work / cell.name  # a result names its model by the folder
    if row.checkpoint is not None and not row.anew:
        return row.checkpoint, {}
    if row.checkpoint is not None:
        study.anew(row.checkpoint, cell.seed, folder, settings.max_steps)
        return str(folder), {}
    from unlearn_bench.trainers.config import build
    from unlearn_bench.trainers.job import train
    from unlearn_bench.trainers.method import uses

    used = uses(row.method)
    forget = f"{study.name}:forget"
    if row.augment is not None:
        forget = str(augmented(study.name, row.augment, cell.seed, work / "data.jsonl"))
    given = {
        "preset": study.name,
        "model": study.model,
        "method": row.method,
        **{side: (spec,) for side, spec in (("forget", forget), ("retain", f"{study.name}:retain")) if side in used},
        "output": str(folder),
        "seed": cell.seed,
        "on_divergence": "continue",  # a wrecked model is a result
        "save_every": 10**6,
        **row.settings,
    }
    if settings.max_steps is not None:
        given["max_steps"] = settings.max_steps
    outcome = train(build(given))
    study.store(folder)
    return str(folder), {
        "steps": outcome.steps,
        "last_terms": {name: value if value == value else None for name, value in outcome.terms.items()},
        "skipped_steps": outcome.skipped,
    }


def augmented(dataset: str, options: Mapping[str, object], seed: int, path: Path) -> Path:
    """Write ReLearn's data for the forget set as `augment` does.

    Args:
        dataset: Whose forget set.
        options: Further fields of `AugmentSpec`.
        seed: Of every choice.
        path: The file.

    Raises:
        UserError: if a text failed all its tries: a table must not rest on fewer rows than it says.
    """
    from unlearn_bench.augment.run import AugmentSpec
    from unlearn_bench.augment.run import run as augment

    made = augment(AugmentSpec(dataset=dataset, output=path, seed=seed, **options))
    if made.outcome.failed:
        count, reason = len(made.outcome.failed), made.outcome.failed[0].to_json()
        raise UserError(f"augmentation failed for {count} texts, example: {reason}")
    return path


def _score(cell: Cell, model: str, folder: Path, output: Path, settings: Settings) -> dict[str, float | None]:
    """Task and metric ("nano_forget/kfr") to value, None where nothing could be scored."""
    from unlearn_bench.harness.run import evaluate
    from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec
    from unlearn_bench.results import write_results

    study = cell.study
    plain = RunSpec(model=model, tasks=study.tasks, batch_size=study.batch_size, limit=settings.limit)
    ends = anchors.scored(study, plain, output) if study.anchored else {}
    result, samples = evaluate(replace(plain, diagnosis=DiagnosisSettings(**ends)))
    if settings.stress:
        anchors.add_stress(study, plain, settings.stress, result, output / EXAMS, cell.name)
    if settings.diagnose:
        result.diagnostics = anchors.look_inside(study, plain, settings.diagnose)
    write_results(folder, result, samples)
    metrics = {f"{t}/{m}": v.value for t, scored in result.tasks.items() for m, v in scored.metrics.items()}
    judge = judge_of(study) if settings.again else None
    return metrics | (judged(samples, study, judge) if judge else {})


def _keep(cell: Cell, work: Path, model: str, output: Path, settings: Settings) -> None:
    """Move the results to the cell's folder, and the checkpoint, if kept, to its folder."""
    target = output / cell.name
    shutil.rmtree(target, ignore_errors=True)
    (work / "results").mkdir(exist_ok=True)
    for name in KEPT:
        for path in (work / name, Path(model) / name):
            if path.is_file():
                shutil.copy(path, work / "results" / name)
    os.replace(work / "results", target)
    if settings.keep is not None and Path(model).is_dir():
        kept = settings.keep / cell.name
        shutil.rmtree(kept, ignore_errors=True)
        settings.keep.mkdir(parents=True, exist_ok=True)
        shutil.move(model, kept)
