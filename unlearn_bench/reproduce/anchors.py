"""What is held against the study's original and oracle: a cell's numbers, its stress, what is seen inside it.

Both are scored once, and put under stress once, for all cells of a table.

Cells run in several processes: the first that needs an anchor makes it, the others wait for it at a lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from unlearn_bench.errors import UserError
from unlearn_bench.harness.oracle import Oracle, read_oracle
from unlearn_bench.hashing import sha256_json
from unlearn_bench.reproduce.study import Study

if TYPE_CHECKING:
    from unlearn_bench.harness.spec import RunSpec
    from unlearn_bench.schema import DiagnosticsInfo, Result

FOLDER = ".anchors"


def scored(study: Study, spec: "RunSpec", output: Path) -> dict[str, Oracle]:
    """The answers of both anchors to a run's questions, by the names that `DiagnosisSettings` has for them.

    Args:
        study: Whose anchors.
        spec: How the cells are asked.
        output: Folder of the table; the anchors' results are kept in it.
    """
    return {who: _scored(study, name, spec, output) for who, name in study.anchors.items()}


def _scored(study: Study, name: str, spec: "RunSpec", output: Path) -> Oracle:
    from unlearn_bench.harness.run import evaluate
    from unlearn_bench.harness.spec import run_settings
    from unlearn_bench.results import RESULT_FILE, write_results

    key = sha256_json([run_settings(replace(spec, model=name)), study.weights(name)])
    folder = output / FOLDER / f"{name}-{key[:12]}"
    with _alone(folder):
        if (folder / RESULT_FILE).is_file():
            with suppress(UserError):  # it cannot be read, or lost its samples: it is made again
                return read_oracle(folder)
        write_results(folder, *evaluate(replace(spec, model=name)))
    return read_oracle(folder)


def check_stress(study: Study, panel: tuple[str, ...]) -> None:
    """Refuse a panel under which the study's checkpoints cannot be put, before any is trained.

    Raises:
        UserError: if the study's model, from which they are trained, cannot.
    """
    from unlearn_bench.harness.spec import RunSpec, StressSpec
    from unlearn_bench.harness.stress import check

    check(StressSpec(RunSpec(model=study.model, tasks=study.stressed.tasks), panel, **study.anchors))


def add_stress(study: Study, spec: "RunSpec", panel: tuple[str, ...], result: "Result", exams: Path, cell: str) -> None:
    """Put a cell's checkpoint and both anchors under stress, and what is found into its result.

    Args:
        study: Whose anchors, and which tasks are asked.
        spec: How the checkpoint is asked.
        panel: Panels and stresses.
        result: Changed in place.
        exams: Folder in which finished exams are kept, those of the anchors once for all cells.
        cell: Name of the cell's folder in it.
    """
    from unlearn_bench.harness.spec import StressSpec
    from unlearn_bench.harness.stress import add_to

    controls = exams / "anchors"
    spec = replace(spec, tasks=study.stressed.tasks, limit=study.stressed.cut(spec.limit))
    asked = StressSpec(spec, panel, **study.anchors, folder=exams / cell, controls=controls)
    done = controls / "done"
    with _alone(controls):
        if not done.is_file():
            add_to(result, asked)
            done.touch()
    if result.stress is None:
        add_to(result, asked)


def look_inside(study: Study, spec: "RunSpec", diagnostics: tuple[str, ...]) -> "DiagnosticsInfo":
    """What diagnostics see in a cell's checkpoint, with both anchors beside it.

    Args:
        study: Whose anchors, and which questions are asked.
        spec: How the checkpoint is asked.
        diagnostics: Their names.
    """
    from unlearn_bench.harness.backends import load_model
    from unlearn_bench.harness.plan import make_plan
    from unlearn_bench.harness.run import diagnose
    from unlearn_bench.harness.spec import DiagnosisSettings

    plan = make_plan(study.looked_at.tasks, limit=study.looked_at.cut(spec.limit))
    asked = replace(spec, diagnosis=DiagnosisSettings(diagnostics, **study.anchors))
    return diagnose(plan, load_model(asked), asked)[0]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time do what is done in a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        folder.mkdir(exist_ok=True)
        yield
